"""What people say and write of themselves, made up: values in words and in writing, by language.

Nothing here knows how the scanner reads numbers: the words are made from the grammar of each
language, the written forms from how forms and letters write them.
"""

import string
from collections.abc import Callable, Mapping
from random import Random

Maker = Callable[[Random], str]

DIGITS = {
    "en": "zero one two three four five six seven eight nine",
    "de": "null eins zwei drei vier fünf sechs sieben acht neun",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf",
}
TEENS = {
    "en": "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen",
    "de": "zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn",
    "es": "diez once doce trece catorce quince dieciséis diecisiete dieciocho diecinueve",
    "fr": "dix onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf",
}
TENS = {
    "en": "twenty thirty forty fifty sixty seventy eighty ninety",
    "de": "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig",
    "es": "veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa",
    "fr": "vingt trente quarante cinquante soixante soixante-dix quatre-vingt quatre-vingt-dix",
}
MONTHS = {
    "en": "january february march april may june july august september october november december",
    "de": "januar februar märz april mai juni juli august september oktober november dezember",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre"
    " diciembre",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}
ALPHABETS = {
    "en": "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november"
    " oscar papa quebec romeo sierra tango uniform victor whiskey xray yankee zulu",
    "de": "anton berta cäsar dora emil friedrich gustav heinrich ida julius kaufmann ludwig martha"
    " nordpol otto paula quelle richard samuel theodor ulrich viktor wilhelm"
    " xanthippe ypsilon zacharias",
}
AT = {
    "en": (" at ", " dot ", " underscore ", " dash "),
    "de": (" at ", " punkt ", " unterstrich ", " minus "),
    "es": (" arroba ", " punto ", " guion bajo ", " guion "),
    "fr": (" arobase ", " point ", " tiret bas ", " tiret "),
}
NAMES = {
    "en": "james mary olivia walker hughes turner patel brown emma lewis",
    "de": "anna lukas schmidt weber fischer becker hoffmann lena jonas krause",
    "es": "lucia martin garcia lopez pablo ruiz navarro carmen ortega diego",
    "fr": "camille martin dubois lefevre hugo moreau lambert chloe fontaine leroy",
}
HOSTS = {
    "en": "gmail.com outlook.com yahoo.co.uk hotmail.com icloud.com example.org",
    "de": "gmx.de web.de t-online.de gmail.com posteo.de beispiel.de",
    "es": "gmail.com hotmail.es yahoo.es telefonica.net correo.es ejemplo.es",
    "fr": "gmail.com orange.fr free.fr laposte.net wanadoo.fr exemple.fr",
}


def below_100(language: str, n: int) -> str:  # noqa: PLR0911 - a rule of grammar each
    """Return a number from 0 to 99 in words."""
    digits, teens, tens = (table[language].split() for table in (DIGITS, TEENS, TENS))
    if n < 10:
        return digits[n]
    if n < 20:
        return teens[n - 10]
    ten, unit = divmod(n, 10)
    word = tens[ten - 2]
    if language == "fr" and ten in {7, 9}:
        joint = "-et-" if n == 71 else "-"
        return tens[ten - 3] + joint + teens[unit]
    if unit == 0:
        return "quatre-vingts" if language == "fr" and n == 80 else word
    if language == "en":
        return f"{word} {digits[unit]}"
    if language == "de":
        return f"{'ein' if unit == 1 else digits[unit]}und{word}"
    if language == "es":
        accents = {2: "veintidós", 3: "veintitrés", 6: "veintiséis"}
        return (
            accents.get(unit, f"veinti{digits[unit]}") if ten == 2 else f"{word} y {digits[unit]}"
        )
    return f"{word}-et-un" if unit == 1 and ten < 8 else f"{word}-{digits[unit]}"


def below_1000(language: str, n: int) -> str:
    """Return a number from 0 to 999 in words."""
    hundreds, rest = divmod(n, 100)
    if not hundreds:
        return below_100(language, rest)
    digit = DIGITS[language].split()[hundreds]
    tail = below_100(language, rest) if rest else ""
    if language == "en":
        return f"{digit} hundred" + (f" and {tail}" if tail else "")
    if language == "de":
        return ("ein" if hundreds == 1 else digit) + "hundert" + tail
    if language == "es":
        special = {1: "ciento", 5: "quinientos", 7: "setecientos", 9: "novecientos"}
        word = "cien" if n == 100 else special.get(hundreds, f"{digit}cientos")
    else:
        word = "cent" if hundreds == 1 else f"{digit} cent" + ("" if rest else "s")
    return f"{word} {tail}".strip()


def year(language: str, n: int) -> str:
    """Return a year from 1930 to 2026 in words."""
    rest = n % 100
    tail = below_100(language, rest)
    if n >= 2000:
        thousand = {"en": "two thousand", "de": "zweitausend", "es": "dos mil", "fr": "deux mille"}
        if rest == 0:
            return thousand[language]
        if language == "en":
            return f"twenty {tail}" if rest > 9 else f"two thousand and {tail}"
        return thousand[language] + ("" if language == "de" else " ") + tail
    if language == "en":
        return f"nineteen {tail}" if rest > 9 else f"nineteen oh {tail}"
    if language == "de":
        return f"neunzehnhundert{tail}"
    return ("mil novecientos " if language == "es" else "mille neuf cent ") + tail


def ordinal(language: str, n: int) -> str:
    """Return a day of the month in words, as dates have it."""
    if language == "en":
        words = [
            "first",
            "second",
            "third",
            "fourth",
            "fifth",
            "sixth",
            "seventh",
            "eighth",
            "ninth",
            "tenth",
            "eleventh",
            "twelfth",
            "thirteenth",
            "fourteenth",
            "fifteenth",
            "sixteenth",
            "seventeenth",
            "eighteenth",
            "nineteenth",
            "twentieth",
        ]
        if n <= 20:
            return words[n - 1]
        return (
            "thirtieth" if n == 30 else f"{below_100(language, n // 10 * 10)} {words[n % 10 - 1]}"
        )
    if language == "de":
        special = {1: "ersten", 3: "dritten", 7: "siebten", 8: "achten"}
        return special.get(n, below_100(language, n) + ("ten" if n < 20 else "sten"))
    if n == 1:
        return "uno" if language == "es" else "premier"
    return below_100(language, n)


class Spoken:
    """Makes values of each kind as people of a language say them."""

    def __init__(self, language: str, rng: Random) -> None:
        """Use a language, and a generator of random numbers."""
        self.language, self.rng = language, rng

    def _one(self, digit: str) -> str:
        if self.language == "en" and digit == "0":
            return self.rng.choice(("oh", "zero"))
        if self.language == "de" and digit == "2":
            return self.rng.choice(("zwei", "zwo"))
        return DIGITS[self.language].split()[int(digit)]

    def digits(self, text: str) -> str:
        """Return digits in words: one by one, some doubled, or in pairs."""
        way = self.rng.choice(("single", "single", "double", "pairs"))
        words: list[str] = []
        i = 0
        while i < len(text):
            pair = text[i : i + 2]
            if way == "double" and len(pair) == 2 and pair[0] == pair[1] and self.language == "en":
                words.append(f"double {self._one(pair[0])}")
                i += 2
            elif way == "pairs" and len(pair) == 2 and pair[0] != "0":
                words.append(below_100(self.language, int(pair)))
                i += 2
            else:
                words.append(self._one(text[i]))
                i += 1
        return " ".join(words)

    def _number(self, count: int) -> str:
        return "".join(self.rng.choice(string.digits) for _ in range(count))

    def letters(self, text: str) -> str:
        """Return letters one by one, or by their words in an alphabet."""
        if self.language in ALPHABETS and self.rng.random() < 0.5:
            words = ALPHABETS[self.language].split()
            return " ".join(words["abcdefghijklmnopqrstuvwxyz".index(c)] for c in text)
        return " ".join(text)

    def make(self, kind: str) -> str:
        """Return a value of a kind."""
        return str(getattr(self, f"_{kind}")())

    def _phone(self) -> str:
        starts = {
            "en": (("415", 7), ("07", 9), ("212", 7), ("0161", 7)),
            "de": (("0151", 7), ("030", 7), ("0171", 7), ("089", 6)),
            "es": (("6", 8), ("91", 7), ("7", 8)),
            "fr": (("06", 8), ("01", 8), ("07", 8)),
        }
        start, more = self.rng.choice(starts[self.language])
        if self.language == "fr":
            pairs = [start, *(self._number(2) for _ in range(more // 2))]
            return " ".join(
                " ".join(map(self._one, p)) if p[0] == "0" else below_100("fr", int(p))
                for p in pairs
            )
        return self.digits(start + self._number(more))

    def _email(self) -> str:
        at, dot, underscore, dash = AT[self.language]
        names = NAMES[self.language].split()
        first, second = self.rng.sample(names, 2)
        local = self.rng.choice(
            (
                f"{first}{dot}{second}",
                f"{first}{underscore}{second}",
                f"{first}{second}",
                f"{first}{dash}{second}",
                f"{first} {below_100(self.language, self.rng.randrange(10, 100))}",
                f"{' '.join(first)}{dot}{second}",
            )
        )
        host = self.rng.choice(HOSTS[self.language].split()).replace(".", dot).replace("-", dash)
        return local + at + host

    def _url(self) -> str:
        dot = AT[self.language][1]
        slashes = {"en": "slash", "de": "schrägstrich", "es": "barra", "fr": "slash"}
        name = "".join(self.rng.sample(NAMES[self.language].split(), 2))
        host = self.rng.choice(("com", "org", "co" if self.language == "en" else self.language))
        www = self.rng.choice(("", f"w w w{dot}"))
        word = slashes[self.language]
        path = self.rng.choice(("", f" {word} login", f" {word} foto"))
        return f"{www}{name}{dot}{host}{path}"

    def _ip(self) -> str:
        parts = [self.rng.choice((10, 172, 192, 83)), *(self.rng.randrange(256) for _ in range(3))]
        dot = AT[self.language][1]
        if self.rng.random() < 0.5:
            return dot.join(" ".join(map(self._one, str(part))) for part in parts)
        return dot.join(below_1000(self.language, part) for part in parts)

    def _birth(self) -> str:
        day, month = self.rng.randrange(1, 29), self.rng.choice(MONTHS[self.language].split())
        when = year(self.language, self.rng.randrange(1940, 2009))
        name = ordinal(self.language, day)
        if self.language == "en":
            return self.rng.choice(
                (
                    f"{month} {name} {when}",
                    f"the {name} of {month} {when}",
                    f"{name} {month} {when}",
                )
            )
        if self.language == "es":
            return f"{name} de {month} de {when}"
        if self.language == "de":
            return f"{name.removesuffix('n') if self.rng.random() < 0.3 else name} {month} {when}"
        return f"{name} {month} {when}"

    def _card(self) -> str:
        number = luhn(self.rng, 16)
        return " ".join(self.digits(number[i : i + 4]) for i in range(0, 16, 4))

    def _code(self) -> str:
        return self.digits(self._number(self.rng.choice((5, 6, 6, 8))))

    def _pin(self) -> str:
        return self.digits(self._number(4))

    def _account(self) -> str:
        number = self._number(self.rng.choice((7, 8, 10)))
        letters = self.letters("".join(self.rng.sample(string.ascii_lowercase, 2)))
        return (
            self.digits(number) if self.rng.random() < 0.6 else f"{letters} {self.digits(number)}"
        )

    def _social(self) -> str:
        if self.language == "es":
            return f"{self.digits(self._number(8))} {self.rng.choice('trwagmyfpdxbnjzsqvhlcke')}"
        return self.digits(self._number(9))

    def _plate(self) -> str:
        letters = "".join(self.rng.sample("bcdfghjklmnprstvwxyz", 3))
        forms = {
            "en": (3, 4), "de": (3, 3), "es": (3, 4), "fr": (2, 3),
        }  # fmt: skip
        count, numbers = forms[self.language]
        spoken = self.digits(self._number(numbers))
        if self.language == "es":
            return f"{spoken} {self.letters(letters)}"
        if self.language == "fr":
            return f"{self.letters(letters[:2])} {spoken} {self.letters(letters[1:])}"
        return f"{self.letters(letters[:count])} {spoken}"

    def _postcode(self) -> str:
        if self.language == "en" and self.rng.random() < 0.4:
            a = "".join(self.rng.sample("abcdehlmnst", 4))
            middle = " ".join(self._one(self._number(1)) for _ in range(2))
            return f"{' '.join(a[:2])} {middle} {' '.join(a[2:])}"
        return self.digits(self.rng.choice("123456789") + self._number(4))

    def _address(self) -> str:
        number = below_100(self.language, self.rng.randrange(2, 99))
        streets = {
            "en": ("baker street", "maple avenue", "church lane", "station road", "elm drive"),
            "de": ("hauptstraße", "gartenstraße", "lindenallee", "bahnhofstraße", "marktplatz"),
            "es": ("calle mayor", "avenida de la paz", "calle del sol", "plaza nueva"),
            "fr": ("rue de la paix", "avenue victor hugo", "rue des lilas", "boulevard voltaire"),
        }
        street = self.rng.choice(streets[self.language])
        if self.language == "en":
            return f"{number} {street}"
        if self.language == "de":
            return f"{street} {number}"
        if self.language == "es":
            return f"{street} número {number}"
        return f"{number} {street}"

    def _spelled(self) -> str:
        return self.letters(self.rng.choice(NAMES[self.language].split()))


def luhn(rng: Random, length: int) -> str:
    """Return digits that pass Luhn's check, and begin as cards do."""
    body = rng.choice(("4", "51", "52", "55")) + "".join(
        rng.choice(string.digits) for _ in range(length)
    )
    body = body[: length - 1]
    doubled = [int(d) * (2 if i % 2 == 0 else 1) for i, d in enumerate(reversed(body))]
    check = -sum(d - 9 if d > 9 else d for d in doubled) % 10
    return f"{body}{check}"


def iban(country: str, body: str) -> str:
    """Return an account number with its check digits (ISO 13616)."""
    text = "".join(str(int(c, 36)) for c in f"{body}{country}00")
    return f"{country}{98 - int(text) % 97:02d}{body}"


class Written:
    """Makes values of each kind as people of a language write them."""

    def __init__(self, language: str, rng: Random) -> None:
        """Use a language, and a generator of random numbers."""
        self.language, self.rng = language, rng

    def make(self, kind: str) -> str:
        """Return a value of a kind."""
        return str(getattr(self, f"_{kind}")())

    def _number(self, count: int) -> str:
        return "".join(self.rng.choice(string.digits) for _ in range(count))

    def _phone(self) -> str:
        n = self._number
        two = self.rng.randrange(2, 10)
        forms = {
            "en": (
                f"({self.rng.choice((415, 212, 312, 617, 206))}) {two}{n(2)}-{n(4)}",
                f"+1 {self.rng.choice((415, 212, 312))}-{two}{n(2)}-{n(4)}",
                f"+44 7{self.rng.choice((4, 7, 8, 9))}{n(2)} {n(6)}",
                f"07{self.rng.choice((4, 7, 8, 9))}{n(2)} {n(6)}",
                f"{self.rng.choice((415, 212, 312))}.{two}{n(2)}.{n(4)}",
            ),
            "de": (
                f"0151 {n(8)}", f"+49 171 {n(7)}", f"030 / {two}{n(6)}", f"089-{two}{n(6)}",
                f"+49 (0) 221 {two}{n(6)}",
            ),
            "es": (
                f"6{n(2)} {n(2)} {n(2)} {n(2)}", f"+34 6{n(8)}", f"91 {two}{n(2)} {n(2)} {n(2)}",
                f"6{n(2)}-{n(3)}-{n(3)}",
            ),
            "fr": (
                f"06 {n(2)} {n(2)} {n(2)} {n(2)}", f"+33 6 {n(2)} {n(2)} {n(2)} {n(2)}",
                f"01.4{n(1)}.{n(2)}.{n(2)}.{n(2)}", f"07{n(8)}",
            ),
        }  # fmt: skip
        return self.rng.choice(forms[self.language])

    def _email(self) -> str:
        first, second = self.rng.sample(NAMES[self.language].split(), 2)
        mark = self.rng.choice(".-_+")
        host = self.rng.choice(HOSTS[self.language].split())
        return f"{first}{mark}{second}{self.rng.choice(('', '84', '7'))}@{host}"

    def _url(self) -> str:
        name = self.rng.choice(NAMES[self.language].split())
        return self.rng.choice(
            (
                f"https://example.org/u/{name}?id={self._number(5)}",
                f"http://www.{name}.net/album",
                f"www.{name}.org/profile",
            )
        )

    def _ip(self) -> str:
        if self.rng.random() < 0.25:
            return f"2001:db8:{self._number(2)}::{self._number(3)}"
        return ".".join(str(self.rng.randrange(1, 255)) for _ in range(4))

    def _card(self) -> str:
        number, mark = luhn(self.rng, 16), self.rng.choice((" ", "-", ""))
        return mark.join(number[i : i + 4] for i in range(0, 16, 4))

    def _iban(self) -> str:
        bodies = {
            "en": ("GB", f"WEST{self._number(14)}"), "de": ("DE", self._number(18)),
            "es": ("ES", self._number(20)), "fr": ("FR", self._number(23)),
        }  # fmt: skip
        text = iban(*bodies[self.language])
        return (
            " ".join(text[i : i + 4] for i in range(0, len(text), 4))
            if self.rng.random() < 0.6
            else text
        )

    def _birth(self) -> str:
        d, m, y = (
            self.rng.randrange(1, 29),
            self.rng.randrange(1, 13),
            self.rng.randrange(1940, 2009),
        )
        name = MONTHS[self.language].split()[m - 1]
        forms = {
            "en": (
                f"{m:02d}/{d:02d}/{y}",
                f"{d} {name.title()} {y}",
                f"{name.title()} {d}, {y}",
                f"{y}-{m:02d}-{d:02d}",
            ),
            "de": (f"{d:02d}.{m:02d}.{y}", f"{d}. {name.title()} {y}"),
            "es": (f"{d:02d}/{m:02d}/{y}", f"{d} de {name} de {y}"),
            "fr": (f"{d:02d}/{m:02d}/{y}", f"{d} {name} {y}"),
        }
        return self.rng.choice(forms[self.language])

    def _code(self) -> str:
        return (
            self._number(6) if self.rng.random() < 0.7 else f"{self._number(3)}-{self._number(3)}"
        )

    def _social(self) -> str:
        if self.language == "es":
            number = self._number(8)
            return f"{number}{'TRWAGMYFPDXBNJZSQVHLCKE'[int(number) % 23]}"
        if self.language == "de":
            return f"{self._number(2)} {self._number(3)} {self._number(3)} {self._number(3)}"
        if self.language == "fr":
            born = f"{self.rng.randrange(40, 100)}{self.rng.randrange(1, 13):02d}"
            body = f"{self.rng.choice('12')}{born}75{self._number(6)}"
            return f"{body}{97 - int(body) % 97:02d}"
        area, group = self.rng.randrange(100, 665), self.rng.randrange(10, 99)
        return f"{area}-{group}-{self.rng.randrange(1000, 9999)}"

    def _plate(self) -> str:
        letters = "".join(self.rng.sample("BCDFGHJKLMNPRSTVWXYZ", 4))
        return {
            "en": f"{letters[:3]} {self._number(4)}",
            "de": f"{letters[:1]}-{letters[1:3]} {self.rng.randrange(1000, 10000)}",
            "es": f"{self._number(4)} {letters[:3]}",
            "fr": f"{letters[:2]}-{self._number(3)}-{letters[2:]}",
        }[self.language]

    def _account(self) -> str:
        return self.rng.choice((self._number(8), self._number(10), f"AB{self._number(7)}"))

    def _address(self) -> str:
        n = self.rng.randrange(2, 99)
        return {
            "en": f"{n} {self.rng.choice(('Baker Street', 'Maple Avenue', 'Church Lane'))}",
            "de": f"{self.rng.choice(('Hauptstraße', 'Gartenstr.', 'Lindenallee'))} {n}",
            "es": f"{self.rng.choice(('Calle Mayor', 'Avenida de la Paz', 'C/ Sol'))} {n}",
            "fr": f"{n} {self.rng.choice(('rue de la Paix', 'avenue Victor Hugo', 'bd Voltaire'))}",
        }[self.language]

    def _postcode(self) -> str:
        if self.language == "en" and self.rng.random() < 0.5:
            town = f"{self.rng.choice(('SW', 'M', 'LS'))}{self.rng.randrange(1, 20)}"
            return f"{town} {self._number(1)}{self.rng.choice(('AB', 'QT'))}"
        return self.rng.choice("123456789") + self._number(4)


def clean_fillers(language: str) -> Mapping[str, Maker]:
    """Return what makes the numbers of sentences in which nobody's data is."""

    def spoken_time(rng: Random) -> str:
        hour, minute = rng.randrange(1, 13), rng.choice((0, 10, 15, 20, 30, 45))
        hours = below_100(language, hour)
        if language == "de":
            return f"{hours} uhr" + (f" {below_100(language, minute)}" if minute else "")
        if language == "fr":
            return f"{hours} heures" + (f" {below_100(language, minute)}" if minute else "")
        if language == "es":
            return hours + (f" y {below_100(language, minute)}" if minute else " en punto")
        return hours + (f" {below_100(language, minute)}" if minute else " o'clock")

    def thousand(rng: Random) -> str:
        word = {"en": " thousand ", "de": "tausend", "es": " mil ", "fr": " mille "}[language]
        return (
            below_100(language, rng.randrange(2, 99)).replace("eins", "ein")
            + word
            + below_1000(language, rng.randrange(100, 999))
        )

    def ordinal_day(rng: Random) -> str:
        return ordinal(language, rng.randrange(2, 29))

    return {
        "digit": lambda rng: below_100(language, rng.randrange(1, 10)),
        "n1": lambda rng: below_100(language, rng.randrange(2, 10)),
        "tens": lambda rng: below_100(language, rng.randrange(11, 99)),
        "hundred": lambda rng: below_1000(language, rng.randrange(101, 999)),
        "thousand": thousand,
        "ordinal": ordinal_day,
        "month": lambda rng: rng.choice(MONTHS[language].split()),
        "time": spoken_time,
        "year": lambda rng: year(language, rng.randrange(1960, 2026)),
    }


def written_fillers() -> Mapping[str, Maker]:
    """Return the same for written lines: numbers as machines and people write them."""

    def hexadecimal(count: int) -> Maker:
        return lambda rng: "".join(rng.choice("0123456789abcdef") for _ in range(count))

    return {
        "n": lambda rng: str(rng.randrange(1, 10)),
        "tens": lambda rng: str(rng.randrange(10, 60)),
        "hundred": lambda rng: str(rng.randrange(100, 999)),
        "thousand": lambda rng: str(rng.randrange(1000, 99999)),
        "year": lambda rng: str(rng.randrange(2019, 2027)),
        "mm": lambda rng: f"{rng.randrange(1, 13):02d}",
        "dd": lambda rng: f"{rng.randrange(1, 29):02d}",
        "hh": lambda rng: f"{rng.randrange(0, 24):02d}",
        "mi": lambda rng: f"{rng.randrange(0, 60):02d}",
        "hex6": hexadecimal(6),
        "hex7": hexadecimal(7),
        "hex64": hexadecimal(64),
    }
