"""Orders as a RIS sends them, each another one: what the benchmarks of the HL7 side send."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator

_FAMILY = (
    "MÜLLER", "SCHMIDT", "NGUYEN", "GARCIA", "KOWALSKI", "ØSTERGAARD", "SMITH", "JOHNSON", "DUBOIS", "ROSSI",
    "PAPADOPOULOS", "IVANOVA", "YAMADA", "HONG", "VAN DER BERG", "O'BRIEN",
)  # fmt: skip
_GIVEN = ("ANNA", "MARIA", "JOHN", "PIERRE", "JÜRGEN", "LUCIA", "TARO", "OLGA", "PETER", "FATIMA", "NOAH")
_OWN = (("王", "小明"), ("山田", "太郎"), ("洪", "吉洞"))  # names that come in a second script, one in ten
_EXAMS = (
    ("CT", "CTABD", "CT abdomen"), ("CT", "CTHEAD", "CT head"), ("MR", "MRKNEE", "MR knee"),
    ("CR", "CRCHEST", "Chest two views"), ("US", "USABD", "Ultrasound abdomen"),
)  # fmt: skip
_DAY = dt.datetime(2026, 7, 5)  # noqa: DTZ001  the site's wall clock

_ORDER = (
    r"MSH|^~\&|RIS|HOSP|MWL|HOSP|20260704151700+0200||ORM^O01^ORM_O01|{run}{n:07}|P|2.5.1"
    "||||||UNICODE UTF-8\r"
    "PID|1||P{patient:07}^^^HOSP^PI||{name}||{born}|{sex}|||12 HARBOUR ROAD^^TOWN^^12345^DE||0301234567\r"
    "PV1|1|O|RAD^R2^^HOSP||||2202^BRANDT^KARL^^^DR|4401^ROE^MARIA|||||||||||V{n:07}^^^HOSP\r"
    "ORC|NW|PL{run}{n:07}^RIS|FI{run}{n:07}^RIS||SC||1^once^^{at}^^R||20260704151600+0200"
    "|7101^ESTRADA^JAIME||7101^ESTRADA^JAIME||||||{modality}{scanner}\r"
    "OBR|1|PL{run}{n:07}^RIS|FI{run}{n:07}^RIS|{code}^{exam}^L^{code}X^{exam} protocol^L||||||||Nut allergy"
    "||||7101^ESTRADA^JAIME||{run}{n:07}|RP{run}{n:07}|SP{run}{n:07}||||{modality}|||1^once"
    "^^{at}^^R||||Acute pain since yesterday\r"
    "ZDS|1.2.276.0.7230010.3.1.{run_number}.{n}^100^Application^DICOM\r"
)


def orders(run: int, count: int) -> Iterator[bytes]:
    """Yield *count* new orders; those of another *run* (0 to 25) are others.

    A quarter of them is for a patient who has been ordered for before.
    """
    chosen = random.Random(run)
    for n in range(count):
        patient = n if n < 4 or n % 4 else chosen.randrange(n)
        yield _order(run, n, patient, chosen).encode()


def accession(run: int, n: int) -> str:
    """Return the accession number of an order."""
    return f"{chr(ord('A') + run)}{n:07}"


def _order(run: int, n: int, patient: int, chosen: random.Random) -> str:
    person = random.Random(patient)  # the same one at every order
    name = f"{person.choice(_FAMILY)}{patient % 9973:04}^{person.choice(_GIVEN)}^^^^^L^A"
    if person.randrange(10) == 0:
        family, given = person.choice(_OWN)
        name += f"~{family}^{given}^^^^^L^I"
    born = dt.date(1926, 1, 1) + dt.timedelta(days=person.randrange(36_500))
    modality, code, exam = chosen.choice(_EXAMS)
    at = _DAY + dt.timedelta(minutes=5 * chosen.randrange(4_000))
    return _ORDER.format(
        run=chr(ord("A") + run), run_number=run, n=n, patient=run * 1_000_000 + patient, name=name,
        born=f"{born:%Y%m%d}", sex=person.choice("MF"), modality=modality, code=code, exam=exam,
        at=f"{at:%Y%m%d%H%M%S}", scanner=chosen.randrange(1, 4),
    )  # fmt: skip
