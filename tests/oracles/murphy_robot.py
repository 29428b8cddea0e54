"""A synthetic robot with 5 states and 2 observations, and what Murphy's Kalman toolbox for Matlab finds in it.

Origin: ``pykalman/datasets/data/robot.mat`` of pykalman 0.11.2 (BSD licence), made by Pieter Abbeel for his class at Berkeley
in 2011; log-likelihoods of 50 steps of EM, the covariances after them, and smoothed states by the Matlab toolbox. Row 0 is not
observed. The offsets of the states are of rank 2 and kept as inputs. Smoothed states are every 100th.
"""

from pathlib import Path

import numpy as np

from ssmts.core.types import LinearGaussianSSM

robot = np.load(Path(__file__).with_suffix(".npz"))
y = np.concatenate([[[np.nan, np.nan]], robot["y"]])
inputs = np.concatenate([robot["inputs"], robot["inputs"][-1:]])
start = LinearGaussianSSM(
    transition=robot["transition"],
    process_cov=10.0 * np.eye(5),
    observation=robot["observation"],
    obs_cov=10.0 * np.eye(2),
    initial_mean=np.zeros(5),
    initial_cov=np.eye(5),
    obs_offset=robot["obs_offset"],
    input_matrix=robot["input_matrix"],
    feedthrough=np.zeros((2, 2)),
)
