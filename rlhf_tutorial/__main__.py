"""`python -m rlhf_tutorial …` is the same as the console script `rlhf_tutorial …`."""

from __future__ import annotations

import sys

from rlhf_tutorial.cli import main

if __name__ == "__main__":
    sys.exit(main())
