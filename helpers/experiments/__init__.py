"""Experiments too long for a lesson, whose results ship in data/. Where things are:

    sweeps       many trainings that differ in a few settings: run side by side, kept in a file that can be gone on with
    knobs        one small VAE with all its knobs, as the lesson Better, faster turns them
    adapt        from printed type to handwriting, as the lesson Your own model adapts a generator
    amounts      counting, a GRU and a Transformer on 1 to 100 times as much text, for Text: one letter after another
    settings     which runs of all there are: data/sweep.json, adapt.json and amounts.json, made by `make sweep`
    pretrained   the models in data/pretrained, how each is built, trained and judged: `make pretrained`
"""
