"""CHGNet (Deng et al., Nat. Mach. Intell. 2023, 5, 1031), as published: evaluated, not trained.

Its weights come inside the package. It was made for inorganic crystals (MPtrj) and knows neither
dispersion nor long-range electrostatics.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from crosstrain.potentials.protocol import Pretrained, archive_fault, packaged_weights

LABEL = "CHGNet"
MODEL_FILE = "chgnet.tar"
file_fault = archive_fault
SECONDS_PER_ATOM = (0.0, 4.5e-3)
PRETRAINED = {
    "chgnet": Pretrained(
        label="CHGNet 0.3.0",
        level_of_theory="PBE, PBE+U (MPtrj)",
        file=partial(
            packaged_weights,
            "chgnet",
            "pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar",
            "chgnet==0.4.2",
        ),
    )
}
# No interaction reaches farther than this in CHGNet 0.3.0, so a vacuum as wide isolates.
CUTOFF_A = 6.0


def calculator(model: Path, *, device: str, precision: str) -> Calculator:
    """Return an ASE calculator with energy, forces and stress.

    Parameters
    ----------
    model : Path
        A file of weights, a pickle: only that of the package.
    device : str
        ``cpu`` or ``cuda``.
    precision : str
        ``float32``: the package knows no other.

    Raises
    ------
    ValueError
        For another precision.
    """
    if precision != "float32":
        raise ValueError(f"precision {precision!r}; CHGNet allows float32 only")
    return _Boxed(model, device)


class _Boxed(Calculator):
    """CHGNet, which needs a periodic cell: an isolated molecule is put in a vacuum."""

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(self, model: Path, device: str) -> None:
        super().__init__()
        from chgnet import __version__
        from chgnet.model.dynamics import CHGNetCalculator

        self._model = CHGNetCalculator.from_file(
            str(model), use_device=device, on_isolated_atoms="ignore"
        ).model.eval()
        self._device = device
        self.engine = f"chgnet {__version__}"

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Evaluate everything at once, but magnetic moments."""
        super().calculate(atoms, properties, system_changes)
        frame = self.atoms.copy()
        is_periodic = frame.pbc.all()
        if not is_periodic:
            frame.set_cell(np.ptp(frame.positions, axis=0) + 2 * CUTOFF_A)
            frame.pbc = True
        energy, forces, stress = _by_one_pass_back(self._model, frame, self._device)
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
        if is_periodic:
            self.results["stress"] = stress


def _by_one_pass_back(
    model: Any, frame: Atoms, device: str
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return energy, forces and stress, from the gradients in fractional coordinates and cell.

    The package's own calculator takes twice as long: it goes back through the network once for the
    forces and once for the stress, and keeps what a training would need to go back through that.
    """
    import torch
    from pymatgen.io.ase import AseAtomsAdaptor

    graph = model.graph_converter(AseAtomsAdaptor.get_structure(frame)).to(device)
    energy = model([graph], task="e")["e"].sum() * len(frame)
    variables = (graph.atom_frac_coord, graph.lattice)
    # an atom without neighbours depends on neither
    gradients = torch.autograd.grad(energy, variables, allow_unused=True, materialize_grads=True)
    of_fractional, of_cell = (each.cpu().numpy().astype(float) for each in gradients)
    forces = -of_fractional @ np.linalg.inv(frame.cell.array).T
    stress = frame.cell.array.T @ of_cell / frame.get_volume()
    return float(energy.detach()), forces, full_3x3_to_voigt_6_stress(stress)
