#!/usr/bin/env python3
"""As sample-requests.py, with the short songs only: every data/short*.mp3."""

import importlib.util
import os

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sample-requests.py")

if __name__ == "__main__":
    spec = importlib.util.spec_from_file_location("sample_requests", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main("data/short*.mp3")
