import numpy as np
import torch

from cisfa.losses.adversarial import discriminator_loss, fooling_loss


def mean_of_squares(values: torch.Tensor, aim: float) -> float:
    total, count = 0.0, 0
    for value in values.double().flatten().tolist():
        total += (value - aim) ** 2
        count += 1
    return total / count


def test_a_discriminator_minimises_equations_1_and_7_with_squares_for_logarithms() -> None:
    rng = torch.Generator().manual_seed(0)
    real, fake = torch.randn((4, 1, 5, 3), generator=rng), torch.randn((4, 1, 5, 3), generator=rng)
    expected = (mean_of_squares(real, 1) + mean_of_squares(fake, 0)) / 2
    np.testing.assert_allclose(discriminator_loss(real, fake).item(), expected, rtol=1e-6)


def test_who_fools_wants_fakes_to_be_taken_for_real() -> None:
    fake = torch.randn((4, 1, 5, 3), generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(fooling_loss(fake).item(), mean_of_squares(fake, 1), rtol=1e-6)


def test_a_perfect_discriminator_has_no_loss_and_what_it_sees_through_has_all() -> None:
    real, fake = torch.ones(2, 1, 3, 3), torch.zeros(2, 1, 3, 3)
    assert discriminator_loss(real, fake).item() == 0
    assert discriminator_loss(fake, real).item() == 1
    assert fooling_loss(fake).item() == 1


def test_the_two_sides_pull_a_fake_in_opposite_directions() -> None:
    fake = torch.full((2, 1, 3, 3), 0.4, requires_grad=True)
    (of_discriminator,) = torch.autograd.grad(discriminator_loss(torch.ones(2, 1, 3, 3), fake), fake)
    (of_fooler,) = torch.autograd.grad(fooling_loss(fake), fake)
    assert (of_discriminator > 0).all()
    assert (of_fooler < 0).all()
