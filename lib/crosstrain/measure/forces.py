"""Split forces and stress into what moves molecules and what deforms them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from crosstrain.measure.molecules import (
    Floats,
    Ints,
    as_masses,
    as_molecule_index,
    as_vectors,
    sum_over_molecules,
    unwrap_molecules,
)

# A principal moment of inertia below this part of the largest one belongs to a linear molecule;
# the absolute floor (amu Å²) lets a single atom have none at all.
RELATIVE_INERTIA = 1e-10
SMALLEST_INERTIA = 1e-8


class ForceSplit(NamedTuple):
    """Components of the forces, each of the shape of the forces, eV/Å; they sum to the total."""

    translation: Floats
    rotation: Floats
    vibration: Floats

    @property
    def intermolecular(self) -> Floats:
        """Translation and rotation: what moves a molecule as a rigid body."""
        return self.translation + self.rotation

    @property
    def total(self) -> Floats:
        """The forces that were split."""
        return self.translation + self.rotation + self.vibration


class StressSplit(NamedTuple):
    """Parts of the stress, Voigt order of ASE, (..., 6), eV/Å³, ASE sign; they sum to the total."""

    molecular: Floats
    internal: Floats


def split_forces(
    positions: ArrayLike,
    forces: ArrayLike,
    masses: ArrayLike,
    molecule: ArrayLike,
    *,
    cell: ArrayLike | None = None,
    bonds: ArrayLike | None = None,
    pbc: bool | ArrayLike = True,
) -> ForceSplit:
    r"""Split forces into molecular translation, rotation and vibration.

    With the force F, the torque τ and the inertia tensor I of a molecule of mass M about its
    centre of mass, an atom at r from that centre has

    .. math::
        f^{trans} = \frac{m}{M} F, \quad
        f^{rot} = m\,(I^{+} \tau) \times r, \quad
        f^{vib} = f - f^{trans} - f^{rot} .

    The first two are the forces of a rigid body's acceleration; the last has neither net force
    nor net torque. I⁺ is the pseudo-inverse, so linear molecules and single atoms are exact too.

    Parameters
    ----------
    positions, forces
        Shape (n_atoms, 3) or (n_frames, n_atoms, 3), Å and eV/Å.
    masses
        Shape (n_atoms,), amu.
    molecule
        Molecule index of each atom, 0..n_mol-1, shape (n_atoms,).
    cell, bonds, pbc
        As in `unwrap_molecules`, which is applied when a cell is given. Without a cell the
        molecules must already be whole.

    Returns
    -------
    ForceSplit
        Three arrays of the shape of `forces`, eV/Å.

    Raises
    ------
    ValueError
        If an argument has a wrong shape or value, or a cell comes without bonds.

    References
    ----------
    The decomposition of I.-B. Magdău et al., npj Comput. Mater. 2023, 9, 146.
    """
    f = as_vectors("forces", forces)
    m = as_masses(masses, f.shape[-2])
    index = as_molecule_index(molecule, f.shape[-2])
    arm, mass = _arms(_whole(positions, f.shape, index, cell, bonds, pbc), m, index)

    torque = sum_over_molecules(np.cross(arm, f), index)
    moment = _inverse_inertia(arm, m, index) @ torque[..., None]
    share = (m / mass[index])[:, None]
    translation = share * sum_over_molecules(f, index)[..., index, :]
    rotation = m[:, None] * np.cross(moment[..., 0][..., index, :], arm)
    return ForceSplit(translation, rotation, f - translation - rotation)


def split_stress(
    stress: ArrayLike,
    positions: ArrayLike,
    forces: ArrayLike,
    masses: ArrayLike,
    molecule: ArrayLike,
    *,
    cell: ArrayLike,
    bonds: ArrayLike,
    pbc: bool | ArrayLike = True,
) -> StressSplit:
    r"""Split the stress into a molecular and an internal part.

    The internal virial of whole molecules, with r taken from the molecule's centre of mass, is

    .. math:: W^{int} = \sum_i r_i \otimes f_i, \qquad \sigma^{int} = -W^{int} / V ,

    and the molecular stress is the rest. Both are well defined with nothing but total forces and
    total stress. Of `ForceSplit`, the translation makes the molecular part; rotation and vibration
    make the internal one, to whose trace, the pressure, the rotation adds nothing, for
    :math:`r \cdot (\omega \times r) = 0`. The molecular part is the derivative of the energy, per
    volume, with respect to a strain that moves molecular centres with the cell and leaves the
    molecules undeformed (the strain of a rigid-molecule volume scan). Pair contributions are not
    needed. Antisymmetric parts, which molecular torques make, are dropped: a strain is symmetric.

    Parameters
    ----------
    stress
        Shape (6,) or (n_frames, 6), ASE's Voigt order (xx, yy, zz, yz, xz, xy) and sign, eV/Å³;
        without kinetic part.
    positions, forces, masses, molecule, cell, bonds, pbc
        As in `split_forces`.

    Returns
    -------
    StressSplit
        Two arrays of the shape of `stress`, eV/Å³.

    Raises
    ------
    ValueError
        If an argument has a wrong shape or value.

    References
    ----------
    The molecular virial of M. P. Allen and D. J. Tildesley, Computer Simulation of Liquids,
    2nd ed., Oxford 2017, section 2.4.
    """
    f = as_vectors("forces", forces)
    total = np.asarray(stress, dtype=float)
    if total.shape != (*f.shape[:-2], 6):
        raise ValueError(f"stress has shape {total.shape}, allowed is {(*f.shape[:-2], 6)}")
    m = as_masses(masses, f.shape[-2])
    index = as_molecule_index(molecule, f.shape[-2])
    arm, _ = _arms(_whole(positions, f.shape, index, cell, bonds, pbc), m, index)

    virial = np.swapaxes(arm, -1, -2) @ f
    symmetric = 0.5 * (virial + np.swapaxes(virial, -1, -2))
    volume = np.abs(np.linalg.det(np.asarray(cell, dtype=float)))
    voigt = symmetric[..., [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    internal = -voigt / np.expand_dims(volume, -1)
    return StressSplit(total - internal, internal)


def _whole(
    positions: ArrayLike,
    shape: tuple[int, ...],
    molecule: Ints,
    cell: ArrayLike | None,
    bonds: ArrayLike | None,
    pbc: bool | ArrayLike,
) -> Floats:
    """Positions of whole molecules, checked against the shape of the forces."""
    x = as_vectors("positions", positions)
    if x.shape != shape:
        raise ValueError(f"positions has shape {x.shape}, allowed is that of forces, {shape}")
    if cell is None or not np.any(pbc):
        return x
    if bonds is None:
        raise ValueError("bonds is None, but a periodic cell needs bonds to make molecules whole")
    return unwrap_molecules(x, cell, molecule, bonds, pbc=pbc)


def _arms(positions: Floats, masses: Floats, molecule: Ints) -> tuple[Floats, Floats]:
    """Positions relative to the molecule's centre of mass, and the mass of each molecule."""
    mass = np.bincount(molecule, weights=masses)
    centre = sum_over_molecules(masses[:, None] * positions, molecule) / mass[:, None]
    return positions - centre[..., molecule, :], mass


def _inverse_inertia(arm: Floats, masses: Floats, molecule: Ints) -> Floats:
    """Pseudo-inverse of each molecule's inertia tensor, shape (..., n_mol, 3, 3)."""
    outer = masses[:, None, None] * arm[..., :, None] * arm[..., None, :]
    second = sum_over_molecules(outer.reshape(*arm.shape[:-1], 9), molecule)
    second = second.reshape(*second.shape[:-1], 3, 3)
    trace = np.trace(second, axis1=-2, axis2=-1)
    moments, axes = np.linalg.eigh(trace[..., None, None] * np.eye(3) - second)
    floor = np.maximum(RELATIVE_INERTIA * moments[..., -1:], SMALLEST_INERTIA)
    inverse = np.divide(1.0, moments, out=np.zeros_like(moments), where=moments > floor)
    return (axes * inverse[..., None, :]) @ np.swapaxes(axes, -1, -2)
