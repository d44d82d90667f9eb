import pytest


@pytest.fixture
def capture(monkeypatch):
    """Keep the figure that a plot function draws, in place of writing it."""

    def of(module, function, *arguments, **options):
        kept = []
        monkeypatch.setattr(module, "save_figure", lambda figure, path: kept.append(figure) or path)
        getattr(module, function)(*arguments, "unused.png", **options)
        figure = kept[0]
        figure.draw_without_rendering()
        return figure

    return of
