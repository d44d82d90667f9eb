import os
import subprocess
import sys
import threading

import matplotlib
import numpy as np
import pytest

from orchestrator.report import style
from orchestrator.report.style import new_figure, paper_style, save_figure, weighted_quantiles
from orchestrator.report.text_placement import goodness_of_fit, header, place_labels, safe_text


def test_figures_do_not_import_pyplot():
    code = (
        "import sys, orchestrator.report.spectrum_figure, orchestrator.report.photometry_figure\n"
        "import orchestrator.report.sfh_figure, orchestrator.report.chain_figures, orchestrator.report.table\n"
        "raise SystemExit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_style_ignores_and_restores_the_users_settings(monkeypatch):
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 33.0)
    monkeypatch.setitem(matplotlib.rcParams, "axes.grid", True)
    with paper_style():
        assert matplotlib.rcParams["font.size"] == style.STYLE["font.size"]
        assert matplotlib.rcParams["axes.grid"] is False
    assert matplotlib.rcParams["font.size"] == 33.0
    assert matplotlib.rcParams["axes.grid"] is True


def test_styles_of_two_threads_do_not_mix():
    before = dict(matplotlib.rcParams)
    inside, overlap = [], []

    def draw():
        with paper_style():
            inside.append(1)
            overlap.append(len(inside))
            threading.Event().wait(0.02)
            inside.pop()

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlap == [1, 1, 1, 1]
    assert dict(matplotlib.rcParams) == before


def test_a_forked_child_can_draw_while_the_parent_holds_the_lock():
    code = (
        "import os, signal\n"
        "from orchestrator.report.style import paper_style\n"
        "import threading\n"
        "held, done = threading.Event(), threading.Event()\n"
        "def hold():\n"
        "    with paper_style():\n"
        "        held.set(); done.wait()\n"
        "threading.Thread(target=hold).start(); held.wait()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    signal.alarm(5)\n"
        "    with paper_style():\n"
        "        os._exit(0)\n"
        "status = os.waitpid(child, 0)[1]; done.set()\n"
        "raise SystemExit(status)"
    )
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False, timeout=60)
    assert run.returncode == 0


def test_file_is_whole_and_nothing_else_is_left(tmp_path):
    written = save_figure(new_figure(2, 2), tmp_path / "new folder" / "with space.png")
    assert written.read_bytes().startswith(b"\x89PNG")
    assert written.read_bytes().endswith(b"IEND\xaeB`\x82")
    assert os.listdir(written.parent) == ["with space.png"]


@pytest.mark.parametrize(("name", "start"), [("a.pdf", b"%PDF"), ("a.svg", b"<?xml"), ("a", b"\x89PNG")])
def test_suffix_chooses_the_format(tmp_path, name, start):
    assert save_figure(new_figure(2, 2), tmp_path / name).read_bytes().startswith(start)


def test_failed_write_keeps_the_old_figure_and_leaves_no_part(tmp_path, monkeypatch):
    target = tmp_path / "figure.png"
    target.write_bytes(b"the old figure")
    figure = new_figure(2, 2)

    def fail(path, **_options):
        path.write_bytes(b"half")
        msg = "disk full"
        raise OSError(msg)

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        save_figure(figure, target)
    assert target.read_bytes() == b"the old figure"
    assert os.listdir(tmp_path) == ["figure.png"]


def test_text_from_outside_can_always_be_drawn():
    assert safe_text("v = 12 +- 3") == "v = 12 ± 3"
    assert safe_text(r"$\sigma$ = 3") == r"$\sigma$ = 3"
    assert safe_text(r"file $\nonsense$.fits") == r"file \$\nonsense\$.fits"


def test_header_keeps_title_and_remarks_apart():
    with paper_style():
        figure = new_figure()
        axes = figure.add_subplot()
        remarks = [f"parameter {i} = 1.0 +- 0.1" for i in range(6)]
        header(axes, "A title of a rather long name of an object", remarks)
        figure.draw_without_rendering()
        left, right = axes._left_title.get_window_extent(), axes._right_title.get_window_extent()
        lines = axes.get_title("right").split("\n")
    assert len(lines) > 1
    assert right.x0 >= 0
    assert left.height < right.height * 1.05
    first_line = len(lines[0]) / max(map(len, lines)) * right.width
    assert left.x1 < right.x1 - first_line


def test_labels_that_would_touch_take_another_row_or_none():
    with paper_style():
        axes = new_figure().add_subplot(xlim=(0, 100))
        two_rows = place_labels(axes, [50, 50.5, 51, 90], ["label"] * 4, 8, n_rows=2)
    assert two_rows.tolist() == [0, 1, -1, 0]


def test_goodness_of_fit_leaves_out_what_is_not_known():
    assert goodness_of_fit(20.0, 10) == r"$\chi^2$/dof = 20.0/10 = 2.00"
    assert goodness_of_fit(20.0, 0) == r"$\chi^2$ = 20.0"
    assert goodness_of_fit(float("nan"), 10) == ""


def test_integer_weights_are_repeated_samples():
    rng = np.random.default_rng(1)
    samples, weights = rng.normal(size=(4000, 2)), rng.integers(0, 4, 4000)
    repeated = np.quantile(np.repeat(samples, weights, axis=0), [0.16, 0.5, 0.84], axis=0)
    np.testing.assert_allclose(weighted_quantiles(samples, [0.16, 0.5, 0.84], weights), repeated, atol=2e-3)
