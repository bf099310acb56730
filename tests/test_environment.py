"""One list of dependencies, and everything else agrees with it.

pyproject.toml lists what is needed, constraints.txt pins it, and environment.yml hands both to
conda.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import make_venv

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]]
BOOK = [Requirement(line) for line in PROJECT["optional-dependencies"]["book"]]  # installed by `make book` alone
PINS = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
CONDA_SPEC = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)((?P<relation>[=<>!~]=?)(?P<version>[\w.*]+))?")

every_requirement = pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda r: r.name)


def pinned() -> dict[str, Version]:
    pins = [Requirement(line) for line in PINS]
    return {canonicalize_name(pin.name): Version(str(pin.specifier)[2:]) for pin in pins}


def conda() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text())


def conda_specs() -> list[str]:
    return [item for item in conda()["dependencies"] if isinstance(item, str)]


def conda_pip() -> list[str]:
    [section] = [item for item in conda()["dependencies"] if isinstance(item, dict)]
    return section["pip"]


# ---------------------------------------------------------------- pyproject.toml


@every_requirement
def test_requirement_is_satisfied(requirement: Requirement):
    installed = importlib.metadata.version(requirement.name)
    assert requirement.specifier.contains(installed, prereleases=True)


def test_make_asks_for_the_same_python():
    lowest = ".".join(map(str, make_venv.MINIMUM))
    assert PROJECT["requires-python"] == f">={lowest}"


# ---------------------------------------------------------------- constraints.txt


@pytest.mark.parametrize("pin", PINS)
def test_pin_is_exact(pin: str):
    assert re.fullmatch(r"[A-Za-z0-9._-]+==\d[\w.]*", pin)  # no hash and no local version


def test_nothing_is_pinned_twice():
    assert len(pinned()) == len(PINS)


def test_pytorch_is_the_reference():
    assert pinned()["torch"] == Version("2.13.0")


@pytest.mark.parametrize("requirement", REQUIREMENTS + BOOK, ids=lambda r: r.name)
def test_requirement_allows_its_pin(requirement: Requirement):
    assert pinned()[canonicalize_name(requirement.name)] in requirement.specifier


def test_pins_install_on_the_oldest_python():
    """Debian 12 has 3.11.2: a pin that asks for 3.11.5 would shut it out."""
    oldest = ".".join(map(str, (*make_venv.MINIMUM, 0)))
    refuse = [
        dist.metadata["Name"]
        for dist in importlib.metadata.distributions()
        if pinned().get(canonicalize_name(dist.metadata["Name"])) == Version(dist.version)
        and oldest not in SpecifierSet(dist.metadata.get("Requires-Python") or "")
    ]
    assert refuse == []


def test_installed_versions_are_the_pinned_ones():
    if Path(sys.prefix) != make_venv.VENV:
        pytest.skip("not the environment that make builds")
    installed = {
        canonicalize_name(dist.metadata["Name"]): Version(dist.version).public
        for dist in importlib.metadata.distributions()
    }
    pins = {name: str(version) for name, version in pinned().items() if name in installed}
    assert pins == {name: installed[name] for name in pins}


# ---------------------------------------------------------------- environment.yml


def test_conda_specs_parse():
    assert all(CONDA_SPEC.fullmatch(spec) for spec in conda_specs())


def test_conda_brings_only_python_and_pip():
    assert [CONDA_SPEC.fullmatch(spec)["name"] for spec in conda_specs()] == ["python", "pip"]
    assert conda()["channels"] == ["conda-forge"]


def test_conda_brings_a_python_that_we_support():
    version = CONDA_SPEC.fullmatch(conda_specs()[0])["version"]
    assert Version(version) in SpecifierSet(PROJECT["requires-python"])


def test_pip_installs_this_project_with_its_constraints():
    assert conda_pip() == ["--constraint constraints.txt", "-e .[test]"]


def test_every_line_says_why():
    lines = (ROOT / "environment.yml").read_text().splitlines()
    assert [line for line in lines if not re.search(r"# \w.{10,}", line)] == []
