"""Files that others read: astropy and ArviZ alone bring back samples, units and what they mean."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from orchestrator import MainPipeline
from orchestrator.errors import ChainError
from orchestrator.fit.exports import export_posterior


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A chain of parameters with units: the names are those of a spectrum, the likelihood is a toy."""
    from orchestrator.fit.stage_result import load_run

    folder = tmp_path_factory.mktemp("exports")
    config = {
        "runtime": {"sampler": "multistart ensemble", "seed": 4},
        "ensemble": {"walkers": 32, "samples": 160, "nsteps": 160},
        "output": {"filename": str(folder / "fit")},
        "pipeline": {"modules": "GaussianTarget"},
        "GaussianTarget": {"mean": [1.0, -2.0], "sigma": [0.5, 0.1], "correlation": [0.5]},
    }
    MainPipeline([config]).run()
    # What the file says of its modules is all that an export knows: here it names a kinematic fit.
    chain = folder / "fit.txt"
    text = chain.read_text()
    options = "inputspectrum = x.dat\n## sspmodel = PopStar\n## sfhmodel = ExponentialSFH\n## [unused]"
    for old, new in {
        "gaussian--x_1": "kinematics--los_vel",
        "gaussian--x_2": "stars.sfh--logtau",
        "## modules = GaussianTarget": "## modules = FullSpectralFit",
        "## [GaussianTarget]": f"## [FullSpectralFit]\n## {options}",
        "## [gaussian]": "## [kinematics]",
        "## x_1": "## los_vel",
        "## x_2": "## [stars.sfh]\n## logtau",
    }.items():
        assert old in text
        text = text.replace(old, new)
    chain.write_text(text)
    return load_run(chain)


def test_fits(result, tmp_path):
    path = export_posterior(result, tmp_path / "posterior.fits")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a wrong checksum is a warning of astropy's
        with fits.open(path, checksum=True) as hdus:
            hdus.verify("exception")
            assert [hdu.name for hdu in hdus] == ["PRIMARY", "SUMMARY", "SAMPLES", "COVARIANCE", "CORRELATION"]
            assert all("CHECKSUM" in hdu.header and "DATASUM" in hdu.header for hdu in hdus)
            assert hdus[0].header["VERDICT"] == result.verdict
            header = hdus["SAMPLES"].header
            assert (header["TTYPE1"], header["TUNIT1"]) == ("kinematics--los_vel", "km s-1")
            assert "velocity" in header["TCOMM1"]
            assert "logarithm of Gyr" in header["TCOMM2"]
            assert "TUNIT2" not in header
            np.testing.assert_allclose(hdus["COVARIANCE"].data, result.summary.covariance)
            assert hdus["CORRELATION"].data[0, 1] == pytest.approx(0.5, abs=0.15)
            assert hdus["COVARIANCE"].header["PAR2"] == "stars.sfh--logtau"
        samples = Table.read(path, hdu="SAMPLES")
    assert str(samples["kinematics--los_vel"].unit) == "km / s"
    assert samples["weight"].sum() == pytest.approx(1.0)
    assert samples["kinematics--los_vel"].mean() == pytest.approx(result.summary["los_vel"].mean)


def test_ecsv(result, tmp_path):
    table = Table.read(export_posterior(result, tmp_path / "posterior.ecsv"))
    assert str(table["kinematics--los_vel"].unit) == "km / s"
    row = {name: index for index, name in enumerate(table["statistic"])}
    found = result.summary["los_vel"]
    for name in ("best_fit", "mean", "median", "std", "lower_68", "hdi_upper_95"):
        assert table["kinematics--los_vel"][row[name]] == getattr(found, name)
    assert table.meta["verdict_reason"] == result.verdict_reason


def test_json(result, tmp_path):
    record = json.loads(export_posterior(result, tmp_path / "posterior.json").read_text())
    assert record["parameters"]["kinematics--los_vel"]["median"] == result.summary["los_vel"].median
    assert record["verdict"] == result.verdict
    assert record["correlation"][0][0] == pytest.approx(1.0)


def test_netcdf_is_inference_data(result, tmp_path):
    path = export_posterior(result, tmp_path / "posterior.nc")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import arviz

        data = arviz.from_netcdf(path)
    posterior = data.posterior["kinematics--los_vel"]
    assert posterior.attrs["units"] == "km/s"
    assert posterior.sizes["chain"] == 32
    assert float(posterior.mean()) == pytest.approx(result.summary["los_vel"].mean)
    assert data.attrs["verdict"] == result.verdict
    state = result.summary.convergence
    # our own figures, which are a hundred times as fast, against ArviZ's (which sums the autocorrelation otherwise)
    ess = arviz.ess(data, method="mean")
    np.testing.assert_allclose(
        [float(ess[name]) for name in result.chain.names], state.effective_each, rtol=0.25
    )
    rhat = arviz.rhat(data, method="rank")
    np.testing.assert_allclose([float(rhat[name]) for name in result.chain.names], state.rhat, atol=1e-6)
    hdi = arviz.hdi(data, hdi_prob=0.68)
    found = result.summary["los_vel"]
    np.testing.assert_allclose(
        hdi["kinematics--los_vel"], [found.hdi_lower_68, found.hdi_upper_68], atol=0.02 * found.std
    )


def test_an_unknown_ending_is_refused(result, tmp_path):
    with pytest.raises(ChainError, match="ending of"):
        export_posterior(result, tmp_path / "posterior.xls")
    assert list(tmp_path.iterdir()) == []
