# The peer of bench:readers. Makes a CT series in a transfer syntax, and reads it with pydicom and its plug-ins. Each request and
# each answer is one line of JSON:
# {"about": true} → the versions of the packages that are installed;
# {"make": {"folder": …, "syntax": UID, "slices": N, "images": M, "size": S}} → {"bytes": of all files}, or {"problem": …};
# {"choose": {"folder": …}} → {"plugin": the fastest plug-in, on the first files, "plugins": {name: seconds}};
# {"read": {"folder": …}} → {"seconds": …, "cpu": CPU seconds of all threads};
# {"digest": true} → {"digest": SHA-256 of the grey values of the last series}.
import glob
import hashlib
import importlib.metadata
import json
import os
import sys
import time

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_rescale, get_decoder, get_encoder
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

PACKAGES = (
    "pydicom", "numpy", "pillow", "pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle", "python-gdcm",
    "pyjpegls", "imagecodecs",
)
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


def chest(size, k):
    """Stored values of a slice, [size, size] uint16: HU + 1024, 12 bits; air, body, lungs with vessels, spine and correlated noise."""
    rng = np.random.default_rng(k)
    y, x = np.mgrid[-1:1:size * 1j, -1:1:size * 1j]
    inside = lambda cx, cy, rx, ry: ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1
    hounsfield = np.full((size, size), -1000.0)
    hounsfield[inside(0, 0, 0.9, 0.65)] = -90
    hounsfield[inside(0, 0, 0.83, 0.58)] = 45
    for side in (-1, 1):
        hounsfield[inside(side * 0.42, -0.02, 0.3 + 0.05 * np.sin(k / 9), 0.42)] = -860
        for _ in range(60):
            radius = rng.uniform(0.006, 0.03)
            place = side * 0.42 + rng.uniform(-0.22, 0.22), rng.uniform(-0.3, 0.3)
            hounsfield[inside(*place, radius, radius)] = 20
    hounsfield[inside(0, 0.42, 0.11, 0.1)] = 420
    noise = rng.normal(0, 1, (size, size))
    noise = noise + sum(np.roll(noise, shift, axis) for shift in (-1, 1) for axis in (0, 1)) / 2
    return np.clip(np.rint(hounsfield + 15 * noise) + 1024, 0, 4095).astype(np.uint16)


def gdcm_encoded(file, syntax):
    """The pixel data of a native file, encoded by GDCM."""
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(file)
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    if not reader.Read():
        raise RuntimeError("GDCM cannot read the native file")
    change.SetInput(reader.GetImage())
    if not change.Change():
        raise RuntimeError("GDCM cannot encode")
    writer = gdcm.ImageWriter()
    writer.SetFileName(file)
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    if not writer.Write():
        raise RuntimeError("GDCM cannot write")
    return pydicom.dcmread(file).PixelData


def encoded(image, options):
    """Pixel data of one image in a transfer syntax."""
    syntax = options["syntax"]
    if syntax in NATIVE:
        return image.astype(">u2" if syntax == ExplicitVRBigEndian else "<u2").tobytes()
    if syntax in (JPEGBaseline8Bit, JPEGLosslessSV1):
        file = os.path.join(options["folder"], "native")
        dataset(image, 0, ExplicitVRLittleEndian, image.tobytes()).save_as(file, enforce_file_format=True)
        data = gdcm_encoded(file, syntax)
        os.remove(file)
        return data
    if syntax == HTJ2KLossless:
        import imagecodecs

        return encapsulate([imagecodecs.htj2k_encode(image, reversible=True)])
    encoder = get_encoder(syntax)
    frame = encoder.encode(
        image, rows=image.shape[0], columns=image.shape[1], samples_per_pixel=1, number_of_frames=1,
        bits_allocated=16, bits_stored=12, pixel_representation=0, photometric_interpretation="MONOCHROME2",
    )
    return encapsulate([frame])


def dataset(image, k, syntax, data):
    """A CT image at position −k mm."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.1.{k + 1}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.2", "1.2.826.0.1.3680043.8.498.3"
    ds.FrameOfReferenceUID = "1.2.826.0.1.3680043.8.498.4"
    ds.ImageType, ds.Modality, ds.PatientID = ["ORIGINAL", "PRIMARY", "AXIAL"], "CT", "bench"
    ds.InstanceNumber = k + 1
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [-180, -180, -k], [1, 0, 0, 0, 1, 0]
    ds.SliceThickness, ds.PixelSpacing = 1, [0.7, 0.7]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = image.shape
    byte = image.dtype == np.uint8
    ds.BitsAllocated, ds.BitsStored = (8, 8) if byte else (16, 12)
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, 0
    ds.RescaleSlope, ds.RescaleIntercept = (6, -1150) if byte else (1, -1024)
    ds.PixelData = data
    ds["PixelData"].VR = "OB" if byte or syntax not in NATIVE else "OW"
    return ds


def make(options):
    folder, syntax = options["folder"], options["syntax"]
    os.makedirs(folder)
    images = []
    try:
        for k in range(options["images"]):
            image = chest(options["size"], k)
            if syntax == JPEGBaseline8Bit:
                image = np.clip(np.rint((image.astype(float) + 126) / 6), 0, 255).astype(np.uint8)
            images.append((image, encoded(image, options)))
    except (ImportError, RuntimeError, NotImplementedError) as error:
        return {"problem": str(error).splitlines()[0]}
    for k in range(options["slices"]):
        image, data = images[k % len(images)]
        file = os.path.join(folder, f"{k:04}.dcm")
        dataset(image, k, syntax, data).save_as(file, enforce_file_format=True)
    return {"bytes": sum(os.path.getsize(file) for file in files_in(folder))}


def files_in(folder):
    return sorted(glob.glob(os.path.join(folder, "*.dcm")))


def read(files, plugin):
    """Hounsfield units of a series, [slices, rows, columns] int16, head first."""
    slices = []
    for file in files:
        ds = pydicom.dcmread(file)
        if plugin is not None:
            ds.pixel_array_options(decoding_plugin=plugin)
        hounsfield = apply_rescale(ds.pixel_array, ds)
        slices.append((float(ds.ImagePositionPatient[2]), np.floor(hounsfield + 0.5).astype(np.int16)))
    slices.sort(key=lambda each: -each[0])
    return np.stack([pixels for _, pixels in slices])


def choose(folder):
    files = files_in(folder)[:20]
    syntax = pydicom.dcmread(files[0], stop_before_pixels=True).file_meta.TransferSyntaxUID
    seconds = {}
    for plugin in () if syntax in NATIVE else get_decoder(syntax).available_plugins:
        read(files[:1], plugin)
        start = time.perf_counter()
        read(files, plugin)
        seconds[plugin] = time.perf_counter() - start
    return {"plugin": min(seconds, key=seconds.get) if seconds else None, "plugins": seconds}


def about():
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    return versions


def timed(folder, plugin):
    start, cpu = time.perf_counter(), time.process_time()
    pixels = read(files_in(folder), plugin)
    return pixels, {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}


plugin = pixels = None
for line in sys.stdin:
    request = json.loads(line)
    if "about" in request:
        answer = about()
    elif "make" in request:
        answer = make(request["make"])
    elif "choose" in request:
        answer = choose(request["choose"]["folder"])
        plugin = answer["plugin"]
    elif "read" in request:
        pixels = None
        pixels, answer = timed(request["read"]["folder"], plugin)
    else:
        grey = np.clip(np.floor((np.arange(-32768, 32768) + 1150) / 1500 * 255 + 0.5), 0, 255).astype(np.uint8)
        digest = hashlib.sha256()
        for image in pixels:
            digest.update(grey[image.astype(np.int32) + 32768].tobytes())
        answer = {"digest": digest.hexdigest()}
    print(json.dumps(answer), flush=True)
