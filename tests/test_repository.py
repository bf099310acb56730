"""What a host of repositories reads: the workflow, the container, the citation, the form. Parsed, and true."""

import json
import os
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from helpers.lessons import PATH

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def read(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


WORKFLOW = read(".github/workflows/ci.yml")
LINUX, ELSEWHERE = WORKFLOW["jobs"]["linux"], WORKFLOW["jobs"]["elsewhere"]


def test_the_workflow_begins_by_itself_and_may_change_nothing():
    assert set(WORKFLOW[True]) == {"push", "pull_request"}  # `on` is a yes in YAML 1.1
    assert WORKFLOW["permissions"] == {"contents": "read"}


def test_linux_runs_what_everybody_runs():
    assert [step.get("run") for step in LINUX["steps"]] == [None, ".ci/run"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_others_run_the_unit_tests_and_part_one():
    commands = "\n".join(step.get("run", "") for step in ELSEWHERE["steps"])
    assert "tools/make_venv.py" in commands and "-m helpers preflight" in commands and "--nbval" in commands
    part_one = [f"notebooks/{lesson.file}" for lesson in PATH if lesson.number <= 4]
    assert re.findall(r"notebooks/\S+", commands) == part_one
    assert (ROOT / re.search(r"--nbval-sanitize-with=(\S+)", commands)[1]).exists()


def test_what_is_left_out_exists_and_is_said_to_be_left_out():
    systems = {entry["system"]: entry for entry in ELSEWHERE["strategy"]["matrix"]["include"]}
    assert set(systems) == {"macos-latest", "windows-latest"}
    for entry in systems.values():
        ignored = re.findall(r"--ignore=(\S+)", entry["without"])
        assert ignored and entry["without"].split() == [f"--ignore={file}" for file in ignored]
        assert all((ROOT / file).exists() for file in ignored)
    assert systems["windows-latest"]["python"] == ".venv/Scripts/python.exe"


def test_the_site_is_published_by_hand_alone():
    site = read(".github/workflows/site.yml")
    assert set(site[True]) == {"workflow_dispatch"} and "contents: write" not in str(site)
    steps = site["jobs"]["publish"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == ["make book"]
    assert [step["with"]["path"] for step in steps if "path" in step.get("with", {})] == ["build/book"]


def test_the_container_makes_the_environment():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    made = re.findall(r"make ([a-z-]+)", json.dumps(container))
    assert "venv" in made and set(made) <= set(targets)
    assert container["image"].split(":")[1].startswith("3.11")


def test_the_citation_is_that_of_the_project():
    found = read("CITATION.cff")
    assert {"cff-version", "message", "title", "authors", "type"} <= found.keys() and found["cff-version"] == "1.2.0"
    assert (found["version"], found["license"]) == (PROJECT["version"], PROJECT["license"])
    assert README.startswith(f"# {found['title']}\n") and found["authors"]


def test_the_form_is_one():
    form = read(".github/ISSUE_TEMPLATE/mistake.yml")
    assert form["name"] == "A mistake found" and form["description"]
    kinds = {"markdown": "value", "input": "label", "textarea": "label", "dropdown": "options"}
    for part in form["body"]:
        assert part["attributes"][kinds[part["type"]]]
        assert part["type"] == "markdown" or re.fullmatch(r"[a-z-]+", part["id"])
    ids = [part["id"] for part in form["body"] if "id" in part]
    assert len(ids) == len(set(ids)) and {part["type"] for part in form["body"]} - {"markdown"}


@pytest.mark.parametrize(
    "file",
    [".github/workflows/ci.yml", ".github/workflows/site.yml", ".devcontainer/devcontainer.json", "CITATION.cff"],
)
def test_no_host_is_named(file):
    assert "://" not in (ROOT / file).read_text(encoding="utf-8")


def test_the_readme_says_what_has_been_run_where():
    table = README.split("## What has been run where")[1].split("\n## ")[0]
    for system in ("Linux", "macOS", "Windows", "conda"):
        assert system in table
    assert "never" in table and "tools\\make_venv.py" in README and "WSL" in README
