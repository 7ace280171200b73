"""What this machine has and lacks for each stage, with the remedy."""

import importlib
import platform
from importlib.metadata import PackageNotFoundError, version


def report() -> tuple[list[str], bool]:
    """Check libraries, face model and devices.

    Returns
    -------
    lines for a person, and whether every stage can run
    """
    lines = [f"python {platform.python_version()} on {platform.system()} {platform.machine()}"]
    healthy = True
    for name in ("torch", "transformers", "accelerate", "av", "soundfile", "mediapipe"):
        try:
            importlib.import_module(name)
            lines.append(f"ok       {name} {version(name)}")
        except (ImportError, OSError, PackageNotFoundError) as error:
            healthy = False
            remedy = "pip install " + name
            if name == "mediapipe":
                remedy = "apt-get install libegl1 libgles2 libgl1 libglib2.0-0"
            lines.append(f"missing  {name}: {error}. Remedy: {remedy}")
    from depmm.media.face_landmarker import landmarker_candidates

    found = next((path for path in landmarker_candidates() if path.is_file()), None)
    if found is not None:
        lines.append(f"ok       face model {found}")
    else:
        lines.append(
            "note     no face model on this machine: it is downloaded when faces must first be "
            "found; offline, set DEPMM_FACE_LANDMARKER to a face_landmarker.task"
        )
    import torch

    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    lines.append(f"devices  {', '.join(devices) or f'CPU, {torch.get_num_threads()} threads'}")
    return lines, healthy
