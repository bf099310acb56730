"""Experiments too long for a lesson, whose results ship in data/. Where things are:

    sweeps       many trainings that differ in a few settings: run side by side, kept in a file that can be gone on with
    knobs        one small VAE with all its knobs, as the lesson Better, faster turns them
    adapt        from printed type to handwriting, as the lesson Your own model adapts a generator
    settings     which runs of both there are: data/sweep.json and data/adapt.json, made by `make sweep`
    pretrained   the models in data/pretrained, how each is built, trained and judged: `make pretrained`
"""
