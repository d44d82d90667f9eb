import pytest

from orchestrator.report.labels import label_for, split_name, symbol_for, unit_for, unit_in_mathtext
from orchestrator.report.photometric_units import ab_zero_point


def test_known_parameters_have_symbol_and_unit():
    assert label_for("kinematics", "los_vel") == "$V$ [km s$^{-1}$]"
    assert label_for("dust.extinction", "a_v") == "$A_V$ [mag]"
    assert label_for("kinematics", "los_h3") == "$h_3$"
    assert unit_for("stars.sfh", "t0") == "Gyr"


def test_names_are_compared_without_case_as_cosmosis_does():
    assert label_for("Kinematics", "LOS_VEL") == label_for("kinematics", "los_vel")


def test_unknown_parameter_keeps_its_name():
    assert label_for("a", "my_parameter") == "my_parameter"
    assert unit_for("a", "my_parameter") == ""


def test_the_section_decides_as_well():
    assert symbol_for("elsewhere", "scale") == "scale"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("t_at_frac_0.5000", "$t_{50\\%}$ [Gyr]"),
        ("t_at_frac_0.0250", "$t_{2.5\\%}$ [Gyr]"),
        ("logtau", r"$\log_{10}(\tau/\mathrm{Gyr})$"),
    ],
)
def test_star_formation_history_labels(name, expected):
    assert label_for("stars.sfh", name) == expected


def test_names_of_a_chain_are_split():
    assert split_name("kinematics--los_vel") == ("kinematics", "los_vel")
    assert split_name(("kinematics", "los_vel")) == ("kinematics", "los_vel")
    assert split_name("post") == ("", "post")


CGS = r"erg s$^{-1}$ cm$^{-2}$ $\mathrm{\AA}^{-1}$"


@pytest.mark.parametrize(
    ("unit", "power", "expected"),
    [
        ("erg/s/cm2/A", 0, CGS),
        ("erg/s/cm2/A", -17, "10$^{-17}$ " + CGS),
        ("1e-17 erg/s/cm2/A", 0, "10$^{-17}$ " + CGS),
        ("1e-17 erg/s/cm2/A", -1, "10$^{-18}$ " + CGS),
        ("erg / (s cm2 A)", 0, CGS),
        ("erg s^-1 cm^-2 A^-1", 0, CGS),
        ("2.5e-17 erg/s/cm2/A", 0, r"2.5$\times$10$^{-17}$ " + CGS),
        ("uJy", 0, r"$\mathrm{\mu}$Jy"),
        ("relative: flux", 0, "relative: flux"),
    ],
)
def test_units_in_mathtext(unit, power, expected):
    assert unit_in_mathtext(unit, power) == expected


@pytest.mark.parametrize(
    ("unit", "zero_point"),
    [
        ("uJy", 23.90),
        ("Jy", 8.90),
        ("nanomaggy", 22.5),
        ("erg/s/cm2/Hz", -48.60),
        ("1e-29 erg / (s cm2 Hz)", 23.90),
    ],
)
def test_ab_zero_points(unit, zero_point):
    assert ab_zero_point(unit) == pytest.approx(zero_point, abs=2e-3)


def test_unit_per_wavelength_has_no_ab_zero_point():
    assert ab_zero_point("erg/s/cm2/A") is None
