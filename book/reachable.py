"""What scrolls sideways can be reached by the keyboard: code, and what it printed."""


def reach(app, pagename, templatename, context, doctree):
    if "body" in context:
        context["body"] = context["body"].replace("<pre>", '<pre tabindex="0">')


def setup(app):
    app.connect("html-page-context", reach)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
