"""Time the peer's modules; run by bench_likelihood.py in the environment of besta==0.6.2."""

import json
import logging
import sys
import time

from besta.pipeline_modules.full_spectral_fit import FullSpectralFitModule
from besta.pipeline_modules.galaxy_photometry import GalaxyPhotometryModule
from cosmosis.datablock import DataBlock

task = json.load(sys.stdin)
logging.disable(logging.CRITICAL)
block = DataBlock()
for section, name, value in task["point"]:
    block[section, name] = value
    if section == "dust.extinction":
        block["dust_attenuation", name] = value
results = {}
for case, module_class in (("FullSpectralFit", FullSpectralFitModule), ("SFHPhotometry", GalaxyPhotometryModule)):
    module = module_class({module_class.name: task[case]})
    module.execute(block)
    rounds = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(5):
            module.execute(block)
        rounds.append((time.process_time() - start) / 5)
    results[case] = 1e3 * min(rounds)
sys.stdout.write("\n" + json.dumps(results) + "\n")
