"""Synthetic radiographs and hospitals, by which a federation can be tried without data."""

from __future__ import annotations

from shared.phantoms.chest import draw_chest
from shared.phantoms.hospitals import HOSPITALS, HospitalProfile, write_hospitals

__all__ = ["HOSPITALS", "HospitalProfile", "draw_chest", "write_hospitals"]
