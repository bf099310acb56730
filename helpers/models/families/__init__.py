"""The other families of generative models, one a module: each offers what ``helpers.models.contract`` lists."""
