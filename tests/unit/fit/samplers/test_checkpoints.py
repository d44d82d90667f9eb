"""A checkpoint of nautilus that is being written when the process is killed."""

from __future__ import annotations

from pathlib import Path

import nautilus
import pytest

from orchestrator.fit.samplers.checkpoints import whole_checkpoints


class Killed(BaseException):
    """In the middle of a write."""


@pytest.mark.parametrize("method", ["write", "write_shell_update"])
def test_a_write_that_is_cut_off_leaves_the_former_file(tmp_path, monkeypatch, method):
    file = tmp_path / "status.hdf5"
    file.write_bytes(b"whole")

    def cut_off(self, filepath, *options):
        Path(filepath).write_bytes(b"who")
        raise Killed

    monkeypatch.setattr(nautilus.Sampler, method, cut_off)
    with whole_checkpoints():
        sampler = nautilus.Sampler(lambda cube: cube, lambda point: 0.0, n_dim=2, n_live=50)
        options = {"write": {"overwrite": True}, "write_shell_update": {"shell": 0}}[method]
        with pytest.raises(Killed):
            getattr(sampler, method)(file, **options)
    assert file.read_bytes() == b"whole"
    assert getattr(nautilus.Sampler, method) is cut_off


def test_the_file_is_that_of_nautilus(tmp_path):
    def sampled(file, resume):
        sampler = nautilus.Sampler(
            lambda cube: cube, lambda point: -0.5 * float(((point - 0.5) ** 2).sum()) / 0.01, n_dim=2, n_live=100,
            n_networks=0, seed=1, filepath=file, resume=resume,
        )  # fmt: skip
        sampler.run(n_eff=200)
        return sampler

    plain = sampled(tmp_path / "plain.hdf5", resume=False)
    with whole_checkpoints():
        ours = sampled(tmp_path / "ours.hdf5", resume=False)
    again = sampled(tmp_path / "ours.hdf5", resume=True)
    assert ours.log_z == plain.log_z == again.log_z
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["ours.hdf5", "plain.hdf5"]
