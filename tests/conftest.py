"""Settings of all tests: no network, no windows, no warnings about tokenizers and forks."""

from __future__ import annotations

import os

# Before any test imports transformers or matplotlib, which read these once.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
