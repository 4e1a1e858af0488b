"""What a manifest of images must look like, and the passports of the data this domain knows."""

from __future__ import annotations

from ...shared.columns import Column
from ...shared.contract import Contract
from ...shared.sources import Source

CONTRACT = Contract(
    name="labelled images (one row an image file, in a CSV manifest)",
    beside="Other columns are left out. Instead of a manifest: an .npz archive as MedMNIST makes them (train_images, "
    "train_labels, val_images, …), or a folder with one sub-folder a class.",
    roles=(
        Column(
            name="path",
            kind="identifier",
            meaning="image file, relative to the manifest: PNG, JPEG, TIFF, DICOM or NIfTI",
            required=True,
            example="images/0001.png",
        ),
        Column(
            name="label",
            kind="category",
            meaning="class name; several are joined by | and make the set multi-label",
            required=True,
            missing="own value",
            example="pneumonia",
        ),
        Column(
            name="patient",
            kind="identifier",
            meaning="whose image it is; no patient stands in two splits, and intervals count patients",
            example="P0042",
        ),
        Column(
            name="split",
            kind="category",
            meaning="train, validation or test, where the set is divided already",
            example="train",
        ),
        Column(
            name="sex",
            kind="category",
            meaning="for figures per subgroup",
            missing="own value",
            example="F",
        ),
        Column(
            name="age",
            kind="number",
            meaning="for figures per subgroup, in bands of 20 years",
            unit="years",
            low=0,
            high=130,
            missing="impute",
            example="61",
        ),
        Column(
            name="site",
            kind="category",
            meaning="hospital or machine, for figures per subgroup",
            missing="own value",
            example="north",
        ),
    ),
)

SYNTHETIC = Source(
    title="edgekit synthetic scans",
    url=None,
    sha256=None,
    licence="MIT, as edgekit",
    cite="Procedural images of edgekit: smooth anatomy, lesions of varying size and contrast, scanner noise",
    retrieved="generator version 1",
    caveats="Lesions are bright blobs on a smooth background: a score on these data says that the pipeline works, "
    "not how well it would do on patients.",
)
SOURCES = (
    SYNTHETIC,
    Source(
        title="PneumoniaMNIST (MedMNIST v2), 28×28",
        url="https://medmnist.com",
        sha256=None,
        licence="CC BY 4.0",
        cite="Yang et al. 2023, Scientific Data 10:41; images of Kermany et al. 2018, Cell 172(5)",
        retrieved="2026-11-22",
        caveats="Children of one hospital in Guangzhou; the test images differ in kind from the training images; "
        "28×28 pixels show no more than the coarsest signs.",
    ),
    Source(
        title="Brain Tumor MRI, 96×96",
        url="https://github.com/sartajbhuvaji/brain-tumor-classification-dataset",
        sha256=None,
        licence="MIT",
        cite="Bhuvaji, Kadam, Bhumkar, Dedge, Kanchan 2020, Brain Tumor Classification (MRI)",
        retrieved="2026-11-22",
        caveats="The published split leaks: 251 of 394 test images also stand in train. No patient is named, so slices "
        "of one person may still fall on two sides.",
    ),
)
