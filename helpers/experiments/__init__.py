"""Experiments too long for a lesson, whose results ship in data/. Where things are:

    sweeps       many trainings that differ in a few settings: run side by side, kept in a file that can be gone on with
    knobs        one small VAE with all its knobs, as the lesson Better, faster turns them
    adapt        from printed type to handwriting, as the lesson Your own model adapts a generator
    amounts      counting, a GRU and a Transformer on 1 to 100 times as much text, for Text: one letter after another
    portrait     seven families of models on one target in the plane, for A family portrait
    settings     which runs of these there are, and the files in data/ that hold them: `make sweep`
    pretrained   the models in data/pretrained, how each is built, trained and judged: `make pretrained`
"""
