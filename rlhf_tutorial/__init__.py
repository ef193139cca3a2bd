"""RLHF, learnt by doing: pretraining, SFT, preferences, reward model, PPO and evaluation.

This file holds the version and imports nothing, so that `import rlhf_tutorial` takes no time;
import the room you need, for instance `from rlhf_tutorial import ppo`.
"""

__version__ = "0.1.0"
