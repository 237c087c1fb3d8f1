"""German: compound numbers, ones before tens, streets that end in their kind."""

from relkit.redaction.tables.types import LanguageTable

_ONES = "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn"
_ONES += " fünfzehn sechzehn siebzehn achtzehn neunzehn"
_TENS = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig"
_STEMS = "ein zwei drei vier fünf sechs sieben acht neun"
_NAMES = "anton ärger berta cäsar charlotte dora emil friedrich gustav heinrich ida julius"
_NAMES += " kaufmann konrad ludwig martha nordpol otto ökonom paula quelle richard samuel siegfried"
_NAMES += " schule theodor ulrich übermut viktor wilhelm xanthippe ypsilon zacharias zeppelin"
_CITIES = "aachen berlin chemnitz düsseldorf essen frankfurt goslar hamburg ingelheim jena köln"
_CITIES += " leipzig münchen nürnberg offenbach potsdam quickborn rostock salzwedel tübingen unna"
_CITIES += " völklingen wuppertal xanten zwickau"
_NATO = "alpha alfa bravo charlie delta echo foxtrot golf hotel india juliett juliet kilo lima mike"
_NATO += " november oscar papa quebec romeo sierra tango uniform victor whiskey xray yankee zulu"
_ORDINALS = "erst zweit dritt viert fünft sechst siebt acht neunt zehnt elft zwölft dreizehnt"
_ORDINALS += " vierzehnt fünfzehnt sechzehnt siebzehnt achtzehnt neunzehnt"


def _below_hundred() -> dict[str, int]:
    """Return 0 to 99 in words, each one word."""
    numbers = {word: value for value, word in enumerate(_ONES.split())}
    numbers |= {"ein": 1, "zwo": 2, "fuenf": 5, "zwoelf": 12}
    for ten, word in enumerate(_TENS.split(), 2):
        numbers[word] = 10 * ten
        for value, stem in enumerate(_STEMS.split(), 1):
            numbers[f"{stem}und{word}"] = 10 * ten + value
    return numbers | {"zwoundzwanzig": 22, "dreissig": 30}


def _compounds(small: dict[str, int]) -> dict[str, int]:
    """Return hundreds, years and the like that are one word, with what stands behind them."""
    rests = {word: value for word, value in small.items() if value} | {"": 0}
    stems = dict(zip(_STEMS.split(), range(1, 10), strict=True)) | {"": 1}
    numbers = {
        f"{stem}hundert{rest}": 100 * value + low
        for stem, value in stems.items()
        for rest, low in rests.items()
    }
    teens = {word: value for word, value in small.items() if 11 <= value <= 19}
    numbers |= {
        f"{teen}hundert{rest}": 100 * value + low
        for teen, value in teens.items()
        for rest, low in rests.items()
    }
    return numbers | {
        f"{stem}tausend{rest}": 1000 * value + low
        for stem, value in stems.items()
        for rest, low in rests.items()
        if stem
    }


def _ordinals() -> dict[str, int]:
    """Return first to thirty-first, with the endings they have after an article."""
    stems = {word: value for value, word in enumerate(_ORDINALS.split(), 1)}
    stems |= {"siebent": 7, "zwanzigst": 20, "dreißigst": 30, "einunddreißigst": 31}
    for value, stem in enumerate(_STEMS.split(), 1):
        stems[f"{stem}undzwanzigst"] = 20 + value
    return {f"{stem}{end}": value for stem, value in stems.items() for end in ("e", "en", "er")}


_SMALL = _below_hundred()

GERMAN = LanguageTable(
    language="de",
    regions=("DE", "AT", "CH"),
    numbers=_compounds(_SMALL) | _SMALL,
    ones_joiner="und",
    hundreds=frozenset({"hundert"}),
    thousands=frozenset({"tausend"}),
    number_joiner="und",
    repeats={"doppel": 2, "doppelt": 2, "zweimal": 2, "dreimal": 3, "dreifach": 3},
    alphabet={word: word[0] for word in f"{_NAMES} {_CITIES} {_NATO}".split()}
    | {"schule": "sch", "x ray": "x", "umlaut unna": "ü"},
    letter_names={
        "be": "b",
        "ce": "c",
        "ef": "f",
        "ge": "g",
        "ha": "h",
        "jot": "j",
        "ka": "k",
        "el": "l",
        "pe": "p",
        "ku": "q",
        "te": "t",
        "vau": "v",
        "we": "w",
        "ix": "x",
        "ypsilon": "y",
        "zett": "z",
        "zet": "z",
        "eszett": "ss",
    },
    words_as_letters=frozenset({"o", "a"}),
    as_in=("wie", "wie in"),
    at=("at", "ät", "ett", "klammeraffe", "at zeichen"),
    dot=("punkt", "dot", "point"),
    dash=("minus", "bindestrich", "strich", "trennstrich"),
    underscore=("unterstrich", "underscore"),
    slash=("schrägstrich", "slash", "querstrich"),
    colon=("doppelpunkt",),
    plus=("plus",),
    fillers=(
        "äh",
        "ähm",
        "hm",
        "also",
        "dann",
        "und dann",
        "vorwahl",
        "durchwahl",
        "nochmal",
        "groß",
        "klein",
        "leerzeichen",
        "bindestrich",
        "strich",
        "minus",
        "schrägstrich",
    ),
    months=tuple(
        """januar jänner februar feber märz april mai juni juno juli august september oktober
        november dezember jan feb mär apr jun jul aug sep sept okt nov dez""".split()
    ),
    ordinals=_ordinals(),
    date_joiners=frozenset({"im", "der", "den", "am", "des", "jahr", "jahre", "jahres"}),
    cues={
        "PHONE": (
            "telefon",
            "telefonnummer",
            "handy",
            "handynummer",
            "mobilnummer",
            "mobil",
            "festnetz",
            "festnetznummer",
            "rufnummer",
            "rückrufnummer",
            "faxnummer",
            "fax",
            "durchwahl",
            "vorwahl",
            "nummer ist",
            "nummer lautet",
            "meine nummer",
            "seine nummer",
            "ihre nummer",
            "unsere nummer",
            "deine nummer",
            "neue nummer",
            "erreichen",
            "erreichbar",
            "zurückrufen",
            "ruf mich",
            "rufen sie mich",
            "ruf mich an",
            "rufen sie mich an",
            "ruf uns",
            "rufen sie uns",
            "anrufen",
            "rückruf",
            "whatsapp",
            "tel",
            "telefonisch",
            "wähle",
            "wählen sie",
            "unter der nummer",
            "unter der",
        ),
        "CARD": (
            "karte",
            "kartennummer",
            "kreditkarte",
            "kreditkartennummer",
            "visa",
            "mastercard",
            "visakarte",
            "amex",
            "endet auf",
            "endet mit",
            "letzten vier ziffern",
            "letzten vier stellen",
            "ec karte",
            "girokarte",
            "debitkarte",
            "bankkarte",
        ),
        "PIN": (
            "pin",
            "pin nummer",
            "pin code",
            "geheimzahl",
            "geheimnummer",
            "prüfziffer",
            "prüfnummer",
            "cvv",
            "c v v",
            "cvc",
            "p i n",
            "kartenprüfnummer",
        ),
        "CODE": (
            "code",
            "code ist",
            "bestätigungscode",
            "sicherheitscode",
            "zugangscode",
            "tan",
            "einmalcode",
            "einmalpasswort",
            "passwort",
            "kennwort",
            "türcode",
            "freischaltcode",
            "aktivierungscode",
            "verifizierungscode",
            "seriennummer",
            "gutscheincode",
            "losung",
            "entsperrcode",
            "zugangsnummer",
        ),
        "ACCOUNT": (
            "konto",
            "kontonummer",
            "bankleitzahl",
            "blz",
            "iban",
            "i b a n",
            "kundennummer",
            "vertragsnummer",
            "mitgliedsnummer",
            "bestellnummer",
            "auftragsnummer",
            "rechnungsnummer",
            "buchungsnummer",
            "buchungscode",
            "aktenzeichen",
            "vorgangsnummer",
            "referenznummer",
            "referenz",
            "sendungsnummer",
            "ticketnummer",
            "policennummer",
            "versicherungsnummer",
            "personalnummer",
            "matrikelnummer",
            "zählernummer",
            "patientennummer",
            "kundenkonto",
            "reservierungsnummer",
            "fallnummer",
            "schadennummer",
        ),
        "ID": (
            "ausweisnummer",
            "personalausweis",
            "personalausweisnummer",
            "reisepass",
            "reisepassnummer",
            "passnummer",
            "steuernummer",
            "steuer id",
            "steueridentifikationsnummer",
            "sozialversicherungsnummer",
            "rentenversicherungsnummer",
            "krankenversicherungsnummer",
            "führerschein",
            "führerscheinnummer",
            "identnummer",
        ),
        "PLATE": (
            "kennzeichen",
            "autokennzeichen",
            "nummernschild",
            "autonummer",
            "kfz kennzeichen",
        ),
        "POSTCODE": ("postleitzahl", "plz", "p l z"),
        "DATE_OF_BIRTH": (
            "geboren",
            "geboren am",
            "geburtsdatum",
            "geburtstag",
            "geboren ist",
            "zur welt",
        ),
        "ADDRESS": (
            "adresse",
            "anschrift",
            "wohne",
            "wohnt",
            "wohnen",
            "wohnhaft",
            "wohnung",
            "lieferadresse",
            "liefern",
            "schicken sie",
            "schick",
            "fahr zur",
            "fahr",
            "taxi",
            "hausnummer",
            "zu hause",
            "zuhause",
            "rechnungsadresse",
            "umgezogen",
        ),
        "IP": ("ip", "i p", "ip adresse", "i p adresse"),
        "EMAIL": (
            "e mail",
            "email",
            "mail",
            "mailadresse",
            "e mail adresse",
            "email adresse",
            "emailadresse",
            "schreiben sie",
            "schreib",
            "mails",
        ),
        "URL": ("webseite", "internetseite", "homepage", "website", "link", "url"),
        "SPELLED": (
            "buchstabiert",
            "buchstabiere",
            "buchstabieren",
            "buchstabiert sich",
            "geschrieben",
            "schreibt sich",
            "schreibt man",
            "nachname",
            "vorname",
            "familienname",
            "mein name",
            "name ist",
            "name",
        ),
    },
    other_numbers=(
        "version",
        "versionen",
        "release",
        "build",
        "revision",
        "fehler",
        "fehlercode",
        "fehlernummer",
        "status",
        "statuscode",
        "rückgabewert",
        "exitcode",
        "exit code",
        "http",
        "port",
        "kapitel",
        "abschnitt",
        "seite",
        "seiten",
        "paragraf",
        "paragraph",
        "artikel",
        "absatz",
        "band",
        "zeile",
        "zeilen",
        "spalte",
        "schritt",
        "schritte",
        "tabelle",
        "abbildung",
        "anhang",
        "perzentil",
        "quantil",
        "folge",
        "staffel",
        "level",
        "stufe",
        "flug",
        "gleis",
        "kanal",
        "linie",
        "bus",
        "buslinie",
        "autobahn",
        "bundesstraße",
        "landesstraße",
        "zimmer",
        "raum",
        "saal",
        "etage",
        "stock",
        "anzahl",
        "anzahl der",
        "quellcode",
        "modell",
        "schicht",
        "epoche",
        "iteration",
        "etwa",
        "ungefähr",
        "rund",
        "circa",
        "ca",
        "knapp",
        "fast",
        "über",
        "mehr als",
        "weniger als",
        "mindestens",
        "höchstens",
        "bis zu",
        "insgesamt",
        "durchschnittlich",
        "seit",
        "jahr",
        "jahr",
        "um",
        "zähle",
        "zählen",
        "zähl bis",
        "zähle bis",
        "zählt",
        "aufgabe",
        "frage",
        "übung",
        "lektion",
        "lied",
        "titel",
        "vers",
        "strophe",
        "landkarte",
        "grafikkarte",
        "speicherkarte",
        "speisekarte",
        "länge",
        "kostet",
        "kosten",
        "uhr",
        "ticket",
        "lauf",
        "runde",
        "platz",
        "ländervorwahl",
        "postleitzahlen",
        "python",
        "nummer eins",
    ),
    units=frozenset(
        """prozent prozentpunkte promille turns minute minuten sekunde sekunden stunde stunden tag
        tage tagen woche wochen monat monate monaten jahr jahre jahren millisekunden millisekunde
        ms euro cent dollar franken mal nutzer anrufe anruf leute personen menschen sitzungen
        wörter worte äußerungen zeilen dateien tests anfragen fehler fehlern megabyte gigabyte
        kilobyte byte bytes bit bits token punkte punkt grad meter metern kilometer kilometern
        meilen zentimeter kilo kilogramm gramm liter perzentil hertz kilohertz watt volt uhr proben
        sprecher kunden million millionen milliarde milliarden tausend hundert parameter schritte
        epochen seiten kapitel karten stück stücke einwohner zimmer wohnungen plätze tore gäste
        versionen code th""".split()
    ),
    stop_words=frozenset(
        """der die das den dem des ein eine einen einem einer ist sind war waren bin sei ich du er
        sie es wir ihr mich mir dich dir ihn ihm uns euch mein meine meiner meinem meinen dein deine
        sein seine ihre ihren ihrem unser unsere dieser diese dieses zu zur zum von vom für in im
        auf an am bei mit und oder aber wenn dann als wie so lautet heißt hat haben habe hatte kann
        können soll bitte nicht kein keine ja nein per unter über aus nach vor hier da dort was wer
        wo wann warum alle auch nur noch schon mal adresse senden sende schicken schreiben kontakt
        erreichen finden gehen geht seite besuchen siehe gibt nummer neu neue ok also äh ähm nun
        jetzt bleibt gut um ab man sich steht ja danke und es gehört""".split()
    ),
    streets=frozenset(
        {"straße", "strasse", "weg", "allee", "platz", "gasse", "ring", "str", "ufer"}
    ),
    sure_streets=frozenset({"straße", "strasse", "gasse", "allee", "chaussee"}),
    street_endings=(
        "straße",
        "strasse",
        "str",
        "weg",
        "allee",
        "platz",
        "gasse",
        "ring",
        "damm",
        "ufer",
        "chaussee",
        "steig",
        "hof",
        "markt",
        "wall",
        "graben",
        "berg",
        "stieg",
    ),
    address_order="street number",
    doors=("nummer", "hausnummer", "wohnung", "etage", "stock", "aufgang"),
)
