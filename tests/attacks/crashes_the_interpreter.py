"""A segmentation fault is a verdict on the candidate alone."""

import ctypes


def f(host):
    ctypes.string_at(0)
