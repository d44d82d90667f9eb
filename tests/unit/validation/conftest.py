from __future__ import annotations

import pytest
from gaussian_stages import gaussian_stage

from orchestrator.validation.config_file import validation_config


@pytest.fixture
def gaussian(tmp_path):
    """A pipeline whose posterior is known, with the stages given or one."""
    return lambda *stages: validation_config(list(stages) or [gaussian_stage()], tmp_path)
