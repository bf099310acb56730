"""The designers: what a slider changes, what a prior draws and an order brings, what is saved, and how fast."""

import io
import re
import time

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from helpers import disk, synthesis
from helpers.build import restore
from helpers.data import glyphs, notes
from helpers.data.colours import Words
from helpers.data.dataset import DataError
from helpers.disk import write_new
from helpers.evaluation.naming import Judges, Namer
from helpers.experiments.pretrained import priors
from helpers.models import SetVAE
from helpers.models.images import ConditionalDecoder, ConditionalEncoder
from helpers.models.prior import FlowPrior, Mixture
from helpers.models.sounds import SpectrogramDecoder, SpectrogramEncoder
from helpers.models.texts import GRULanguageModel
from helpers.widgets import (
    ColourNamer,
    Explorer,
    InstrumentDesigner,
    TypefaceDesigner,
    ordering,
    png,
    spectrogram_png,
)


def typefaces(tmp_path, **prior):
    torch.manual_seed(0)
    average = torch.rand(62, 784) * 4 - 2
    model = SetVAE(ConditionalEncoder(784, 62, (8,), 4), ConditionalDecoder(4, 62, (8, 8), 784, average), 4)
    directions = [("weight", np.eye(4)[0]), ("slant", 2 * np.eye(4)[2])]
    return TypefaceDesigner(model, directions, centre=np.ones(4), folder=tmp_path, **prior)


@pytest.fixture
def designer(tmp_path):
    return typefaces(tmp_path)


def pixels(image):
    return np.asarray(Image.open(io.BytesIO(bytes(image.value))))


def test_png_is_dark_where_there_is_ink():
    image = np.asarray(Image.open(io.BytesIO(png(np.array([[0.0, 1.0], [2.0, 0.5]])))))
    assert image.tolist() == [[255, 0], [0, 128]]


def test_an_explorer_draws_what_its_sliders_say():
    calls = []

    def draw(**values):
        calls.append(values)
        fig, ax = plt.subplots(figsize=(2, 1))
        ax.plot([0, values["learning_rate"]])
        return fig

    explorer = Explorer(draw, learning_rate=[0.1, 0.3], steps=(1, 40, 1, 10), mu=(-3, 3, 0.1, 0.5))
    assert calls == [{"learning_rate": 0.1, "steps": 10, "mu": 0.5}] and isinstance(calls[0]["steps"], int)
    before = pixels(explorer.picture)
    explorer.sliders["learning_rate"].value = 0.3
    explorer.sliders["mu"].value = -1.0
    assert calls[-1] == {"learning_rate": 0.3, "steps": 10, "mu": -1.0} and len(calls) == 3
    assert (pixels(explorer.picture) != before).any() and before.shape[:2] == (100, 200)
    assert plt.get_fignums() == []
    assert len(explorer.show().children) == 4
    assert explorer.show()._repr_mimebundle_()["text/plain"].startswith("Run this cell")  # where no kernel runs yet


def test_sliders_move_the_code_along_their_directions(designer):
    assert torch.equal(designer.code, torch.ones(1, 4))
    before = pixels(designer.sheet)
    designer.sliders[1].value = 1.5
    assert designer.code[0].tolist() == [1.0, 1.0, 4.0, 1.0]
    assert (pixels(designer.sheet) != before).any()
    designer.reset.click()
    assert (pixels(designer.sheet) == before).all()
    designer.random.click()
    assert (pixels(designer.sheet) != before).any()


def test_a_word_is_set_and_both_are_saved_without_overwriting(designer, tmp_path):
    narrow = pixels(designer.line).shape[1]
    designer.word.value = "Rag"
    assert pixels(designer.line).shape[1] < narrow
    first, second = designer.save(), designer.save()
    assert len({*first, *second}) == 4 and all(f.stat().st_size > 100 for f in first + second)
    assert (np.asarray(Image.open(first[1])) == pixels(designer.line)).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f.name for f in first + second)


@pytest.mark.parametrize("part", ["alphabet", "word"])
def test_nothing_of_the_readers_is_overwritten(designer, tmp_path, part):
    mine, link = tmp_path / f"typeface-1-{part}.png", tmp_path / f"typeface-2-{part}.png"
    mine.write_text("mine")
    link.symlink_to("nowhere")
    assert [f.name for f in designer.save()] == ["typeface-3-alphabet.png", "typeface-3-word.png"]
    assert mine.read_text() == "mine" and link.is_symlink()


def test_a_name_that_is_taken_at_the_last_moment_is_left_alone(designer, tmp_path, monkeypatch):
    def slow(path, data):
        path.write_text("mine")
        write_new(path, data)

    monkeypatch.setattr("helpers.widgets.typeface.write_new", slow)
    assert designer.save() == [] and "is left as it is" in designer.said.value
    assert [f.read_text() for f in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_cannot_be_written_to_is_said(designer, tmp_path):
    (tmp_path / "file").write_text("")
    designer.folder = tmp_path / "file" / "below"
    assert designer.save() == [] and "choose another folder" in designer.said.value


def test_the_typeface_is_saved_as_a_font_under_a_name_not_yet_taken(designer, tmp_path):
    from fontTools.ttLib import TTFont

    (tmp_path / "My-typeface.ttf").write_text("mine")
    designer.font.button.click()
    file = tmp_path / "My-typeface-2.ttf"
    assert str(file) in designer.font.said.value and TTFont(file)["name"].getDebugName(1) == "My typeface"
    assert (tmp_path / "My-typeface.ttf").read_text() == "mine"
    designer.font.name.value = "Zoë/../x"
    assert designer.font.save() is None and "cannot be called" in designer.font.said.value
    designer.font.folder = tmp_path / "My-typeface.ttf" / "below"
    designer.font.name.value = "Other"
    assert designer.font.save() is None and "choose another folder" in designer.font.said.value
    assert len(list(tmp_path.iterdir())) == 2


def test_it_shows_everything_in_one_widget(designer):
    box = designer.show()
    assert designer.sheet in box.children and designer.word in box.children


def test_moving_many_sliders_at_once_draws_once(designer, monkeypatch):
    draws = []
    monkeypatch.setattr(designer, "redraw", lambda: draws.append(time.perf_counter()))
    designer.set([1.0, -9.0])
    assert len(draws) == 1 and designer.sliders[1].value == -3


# --- a learned prior, and orders ----------------------------------------------------------------------------


def far_away():
    """A prior over codes of four numbers, all of them near 3."""
    prior = Mixture(4, 1)
    prior.mean[:], prior.root[:] = 3.0, 0.05 * torch.eye(4)
    return prior


def test_a_surprise_comes_from_the_prior_and_sliders_go_on_from_it(tmp_path):
    designer = typefaces(tmp_path, prior=far_away())
    assert torch.equal(designer.code, torch.ones(1, 4)) and designer.form is None
    middle = pixels(designer.sheet)
    designer.sliders[1].value = 1.0
    designer.random.click()
    drawn = designer.code
    assert (drawn - 3).abs().max() < 0.3 and [slider.value for slider in designer.sliders] == [0, 0]
    assert (pixels(designer.sheet) != middle).any()
    designer.sliders[1].value = 1.5
    assert torch.allclose(designer.code - drawn, torch.tensor([[0.0, 0.0, 3.0, 0.0]]))
    designer.random.click()
    assert not torch.equal(designer.code, drawn) and (designer.code - 3).abs().max() < 0.3
    designer.reset.click()
    assert torch.equal(designer.code, torch.ones(1, 4)) and (pixels(designer.sheet) == middle).all()


@pytest.mark.parametrize("prior", [far_away(), FlowPrior(4, condition=2, hidden=8)], ids=["mixture", "flow"])
def test_a_surprise_leaves_the_random_numbers_of_the_notebook_alone(tmp_path, prior):
    designer = typefaces(tmp_path, prior=prior)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    designer.random.click()
    assert torch.equal(torch.rand(3), expected)


@pytest.fixture
def shipped(tmp_path, request):
    """The designer of this name with the model and the prior that ship."""
    name = request.param
    vae, prior = (restore(disk.PRETRAINED / file)[0].eval() for file in (priors.VAES[name], name))
    kind = {"glyphs-prior": TypefaceDesigner, "notes-prior": InstrumentDesigner}[name]
    return kind(vae, [("first", np.eye(vae.code)[0])], prior=prior, folder=tmp_path)


def measured_on(designer):
    """The traits of what is shown, in deviations, computed beside the designer."""
    if isinstance(designer, TypefaceDesigner):
        found = glyphs.measure(designer.alphabet)
    else:
        found = synthesis.measure(designer.decode([60])[0], float(notes.frequency(60)))
    mean, deviation = designer.prior.c_mean.numpy(), designer.prior.c_deviation.numpy()
    return {name: (found[name] - m) / d for name, m, d in zip(designer.form.traits, mean, deviation)}


def said(designer):
    """The values that the label tells: {trait: value}."""
    without_orders = re.sub(r" \(ordered [^)]*\)", "", designer.form.said.value)
    found = re.findall(r"([\w-]+) ([+−]\d+\.\d)", without_orders)
    return {name: float(value.replace("−", "-")) for name, value in found}


def order(designer, **wanted):
    for choice in designer.form.choices:
        choice.value = wanted.get(choice.description)
    designer.form.button.click()


both = pytest.mark.parametrize("shipped", list(priors.TRAITS), indirect=True)


@both
def test_an_order_moves_the_trait(shipped):
    trait = shipped.form.traits[0]
    found = {}
    for value in (-1.0, 2.0):
        draws = []
        for _ in range(4):
            order(shipped, **{trait: value})
            draws.append(measured_on(shipped)[trait])
        found[value] = np.mean(draws)
    assert abs(found[-1.0] + 1) < 0.6 and abs(found[2.0] - 2) < 0.6


@both
def test_any_is_nan_and_a_number_is_in_deviations(shipped, monkeypatch):
    told, sample = [], FlowPrior.sample
    monkeypatch.setattr(FlowPrior, "sample", lambda self, n, c, *a, **kw: (told.append((c, kw)),
                                                                          sample(self, n, c, *a, **kw))[1])
    trait, prior = shipped.form.traits[1], shipped.prior
    order(shipped, **{trait: -1.0})
    [(c, options)] = told
    assert c.isnan().tolist() == [[name != trait for name in shipped.form.traits]]
    assert c[0, 1] == pytest.approx(float(prior.c_mean[1] - prior.c_deviation[1]))
    assert options == {"guidance": priors.GUIDANCE}
    shipped.form.guidance.value = 2
    shipped.form.button.click()
    assert told[-1][1] == {"guidance": 2}
    shipped.random.click()  # whatever the form says, nothing is ordered
    assert told[-1][0].isnan().all()


@both
def test_the_label_tells_what_was_measured_also_after_a_slider(shipped):
    assert shipped.form.said.value == "" and shipped.form.box in shipped.show().children
    trait, picture = shipped.form.traits[0], getattr(shipped, "sheet", getattr(shipped, "picture", None))
    middle = bytes(picture.value)
    order(shipped, **{trait: 1.0})
    assert said(shipped) == pytest.approx(measured_on(shipped), abs=0.051)
    assert shipped.form.said.value.count("(ordered +1.0") == 1
    shipped.sliders[0].value = 2.0
    assert said(shipped) == pytest.approx(measured_on(shipped), abs=0.051)
    shipped.random.click()
    assert said(shipped) == pytest.approx(measured_on(shipped), abs=0.051)
    assert "ordered" not in shipped.form.said.value
    shipped.reset.click()
    assert shipped.form.said.value == "" and bytes(picture.value) == middle
    shipped.sliders[0].value = 1.0
    assert shipped.form.said.value == ""


@pytest.mark.parametrize("shipped", ["glyphs-prior"], indirect=True)
def test_a_missed_order_is_called_one(shipped, monkeypatch):
    z = torch.zeros(1, 16)
    monkeypatch.setattr(FlowPrior, "sample", lambda self, *a, **kw: z)
    shipped.place(z[0])
    near = round(measured_on(shipped)["weight"])
    order(shipped, weight=float(near))
    assert "missed" not in shipped.form.said.value
    order(shipped, weight=float(near), slant=2.0)
    assert shipped.form.said.value.count("missed") == 1 and "(ordered +2.0: missed)" in shipped.form.said.value


def test_what_cannot_be_measured_is_said(tmp_path, monkeypatch):
    def measured(self):
        raise DataError("no harmonics")

    monkeypatch.setattr(TypefaceDesigner, "measured", measured)
    designer = typefaces(tmp_path, prior=FlowPrior(4, condition=2, hidden=8), traits=["contrast", "weight"])
    designer.random.click()
    assert "no harmonics" in designer.form.said.value


def test_a_prior_that_does_not_fit_gets_one_sentence(tmp_path):
    for prior, traits, says in ((FlowPrior(8, hidden=8), None, "codes of 8 numbers, and this model's have 4"),
                                (FlowPrior(4, condition=2, hidden=8), ["weight"], "told 2 traits"),
                                (FlowPrior(4, hidden=8), ["weight"], "told 0 traits"),
                                (FlowPrior(4, condition=1, hidden=8), ["colour"], "named: colour")):
        with pytest.raises(DataError, match=says) as caught:
            typefaces(tmp_path, prior=prior, traits=traits)
        assert "\n" not in str(caught.value)


def test_orders_are_those_of_the_shipped_priors():
    assert TypefaceDesigner.TRAITS[:5] == priors.TRAITS["glyphs-prior"]
    assert InstrumentDesigner.TRAITS == priors.TRAITS["notes-prior"]
    assert ordering.GUIDANCE == priors.GUIDANCE


@pytest.fixture
def instrument():
    torch.manual_seed(0)
    decoder = SpectrogramDecoder(4, 513, 51, 36, R=3, hidden=8, average=torch.full((36, 513), -5.0))
    model = SetVAE(SpectrogramEncoder(513, 51, 36, 4, hidden=8), decoder, 4)
    return InstrumentDesigner(model, [("brighter", np.eye(4)[1])], tune=[(60, 1), (None, 1), (64, 2)])


def test_spectrograms_are_drawn_with_low_frequencies_at_the_bottom():
    field = np.full((10, 4), -7.0)
    field[0] = 0  # the lowest is loud
    image = np.asarray(Image.open(io.BytesIO(spectrogram_png(field, height=10, times=1)))).sum(axis=2)
    assert image.shape == (10, 8) and (image[-1] > image[0]).all()


def test_the_instrument_is_redrawn_and_played(instrument):
    before = bytes(instrument.picture.value)
    instrument.sliders[0].value = 2.0
    assert bytes(instrument.picture.value) != before
    assert instrument.pitches == [60, 64] and instrument.notes.shape == (2, 513, 51)
    box = instrument.show()
    instrument.button.click()
    assert np.isfinite(instrument.wave).all() and np.abs(instrument.wave).max() == pytest.approx(0.9)
    assert instrument.player in box.children and not instrument.player.children[1:]
    first = instrument.player.children[0]
    assert first.value[:4] == b"RIFF" and first.autoplay
    instrument.button.click()
    assert len(instrument.player.children) == 1 and instrument.player.children[0] is not first
    before = instrument.wave
    instrument.vibrato.value, instrument.glide.value = 30, 0.2
    instrument.button.click()
    assert instrument.wave.shape == before.shape and not np.allclose(instrument.wave, before)


def test_the_instrument_is_saved_as_a_patch_under_a_name_not_yet_taken(instrument, tmp_path):
    instrument.folder = tmp_path
    (tmp_path / "instrument-1").mkdir()
    instrument.save_button.click()
    files = sorted(file.name for file in (tmp_path / "instrument-2").iterdir())
    assert len(files) == 13 and files[-1] == "instrument-2.sfz" and "12 samples" in instrument.said.value
    (tmp_path / "file").write_text("")
    instrument.folder = tmp_path / "file"
    instrument.save_button.click()
    assert "choose another folder" in instrument.said.value


@pytest.fixture
def namer():
    torch.manual_seed(0)
    words = Words([f"{one} {two}" for one in ("dark", "pale", "old", "hot")
                   for two in ("sea", "sky", "mud", "fog", "sand", "rain")])
    models = [GRULanguageModel(len(words), hidden=16, embedding=8, condition=c, longest=4, spread=0.1).eval()
              for c in (3, 3, 0)]
    known = ["dark sea", "pale sky", "old mud", "hot fog", "dark sand", "pale rain"]
    judges = [Judges(words.encode, models[1:2], models[2:])]
    return ColourNamer(Namer(models[0], words, judges, known), colour="#102030")


def test_a_colour_gets_five_names_and_another_colour_others(namer):
    first = list(namer.names)
    assert len(first) == 5
    namer.picker.value = "#f0e0d0"
    assert namer.names != first and "#f0e0d0" in namer.sheet.value and "color:black" in namer.sheet.value
    namer.picker.value = "#102030"
    assert namer.names == first and "color:white" in namer.sheet.value  # the same question, the same answer


def test_other_names_and_temperatures_redraw(namer):
    first = list(namer.names)
    namer.again.click()
    assert namer.names != first
    second = list(namer.names)
    namer.temperature.value = 0.2
    assert namer.names != second
    assert len(namer.show().children) == 2


def test_names_are_text_and_never_markup(namer):
    namer.namer = lambda c, generator, n, temperature: [["<b>", "a&b"]]
    namer.redraw()
    assert "&lt;b&gt;" in namer.sheet.value and "a&amp;b" in namer.sheet.value and "<b>" not in namer.sheet.value
    namer.namer = lambda c, generator, n, temperature: [[]]
    namer.redraw()
    assert "(no name)" in namer.sheet.value
