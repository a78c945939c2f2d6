"""Tests of lamson_milter. Not called so: `milter` is what pymilter calls its own module."""
