"""The discriminators D_g (of slices) and D_s (of predictions): PatchGAN with three layers."""

from torch import Tensor, nn

from cisfa.networks.instance_norm import InstanceNorm


class Discriminator(nn.Module):
    """PatchGAN (Isola et al. 2017) from MONAI, with instance norm; says of each patch how real it looks."""

    def __init__(self, *, channels: int, width: int = 64) -> None:
        """Args: channels of what it judges (1 for slices, classes for predictions), and of its first layer."""
        from monai.networks.nets.patchgan_discriminator import PatchDiscriminator  # 3 s that inference need not pay

        super().__init__()
        self.body = PatchDiscriminator(
            spatial_dims=2, in_channels=channels, channels=width, num_layers_d=3, norm="INSTANCE"
        )
        for parent in list(self.body.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.InstanceNorm2d):
                    setattr(parent, name, InstanceNorm(child.num_features))

    def forward(self, judged: Tensor) -> Tensor:
        """Logits (b, 1, h', w') of (b, channels, h, w)."""
        logits: Tensor = self.body(judged)[-1]
        return logits
