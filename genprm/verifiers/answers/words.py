"""Words that decide how an answer is read: short English words, quantities and units."""

from __future__ import annotations

from fractions import Fraction

# Two or three small letters are a product (`ab`), unless they are one of these.
_SHORT = """
ad ah am an as at ax be by do go ha he hi if in is it me my no of oh on or ox so to up us we
ace act add age ago aid aim air all and ant any ape arc are arm art ash ask ate bad bag ban bar
bat bay bed bee beg bet bid big bin bit boa bow box boy bug bun bus but buy can cap car cat cow
cry cub cup cut dad dam day den did die dig dim dip dog dot dry due dug ear eat ebb egg ego elf
elk elm end era eve ewe eye fan far fat fax fed fee few fig fin fir fit fix flu fly foe fog for
fox fry fun fur gap gas gel gem get gin god got gum gun gut guy gym had ham has hat hay hen her
hey hid him hip his hit hog hop hot how hub hug hut ice ill ink inn ion its ivy jam jar jaw jet
job jog joy jug key kid kin kit lab lad lap law lay led leg let lid lie lip lot low mad man map
mat may men met mix mob mom mop mud mug nap net new nil nor not now nun nut oak oar odd off oil
old one our out owe owl own pad pan par pat paw pay pea peg pen per pet pie pig pin pit pop pot
pro pub pup put rag ram ran rap rat raw ray red rib rid rim rip rob rod row rub rug run rye sad
sat saw say sea see set sew she shy sin sip sir sit six ski sky sly son sow spa spy sum sun tab
tag tan tap tar tax tea ten the tie tin tip toe ton too top toy try tub two use van vat vet via
wag war was wax way web wed wet who why wig win wit won yak yam yes yet you zip zoo
mon tue wed thu fri
"""
SHORT_WORDS = frozenset(_SHORT.split())

_SMALL = "zero one two three four five six seven eight nine ten eleven twelve"
NUMBER_WORDS = {name: value for value, name in enumerate(_SMALL.split())}
# Behind a number: what it is multiplied by.
MULTIPLIERS = {
    **{"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9},
    **{"trillion": 10**12, "dozen": 12, "lakh": 10**5, "crore": 10**7, "gross": 144},
    **{"万": 10**4, "亿": 10**8, "千": 10**3, "百": 10**2, "十": 10},
}
PARTS = {
    name: Fraction(1, n)
    for n, names in {
        2: "half halves",
        3: "third thirds",
        4: "fourth fourths quarter quarters",
        5: "fifth fifths",
        6: "sixth sixths",
        7: "seventh sevenths",
        8: "eighth eighths",
        9: "ninth ninths",
        10: "tenth tenths",
        12: "twelfth twelfths",
        100: "hundredth hundredths",
        1000: "thousandth thousandths",
        10**6: "millionth millionths",
        10**9: "billionth billionths",
    }.items()
    for name in names.split()
}
QUANTITIES: dict[str, Fraction] = (
    {name: Fraction(n) for name, n in MULTIPLIERS.items()}
    | {f"{name}s": Fraction(n) for name, n in MULTIPLIERS.items() if name.isascii()}
    | PARTS
)

# Words that make something else of the number before them than a count of things.
_NO_UNITS = """
times plus minus more less fewer than over divided by multiplied squared cubed squares cubes
root roots sqrt power choose mod modulo and or not no nor without if but except unless between
at least most about approximately around nearly almost under below above up down half pi
factorial to from infinity negative positive remainder base either both neither is are was were
only percent percentage point with otherwise when where because since so then else which that
zero one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty
first second third double triple twice thrice pair score scores tens ones
myriad quadrillion quintillion googol bn mn mil fold sin cos tan log ln exp x y z i e
倍 半 打 多 或 和 不
"""
NOT_UNITS = frozenset(_NO_UNITS.split())


def _units() -> dict[str, tuple[str, Fraction]]:
    table = """
    length 0.001 mm millimeter millimeters millimetre millimetres
    length 0.01 cm centimeter centimeters centimetre centimetres
    length 0.1 dm decimeter decimeters
    length 1 m meter meters metre metres
    length 1000 km kilometer kilometers kilometre kilometres
    length 0.0254 in inch inches
    length 0.3048 ft foot feet
    length 0.9144 yd yard yards
    length 1609.344 mi mile miles
    volume 0.001 mL ml milliliter milliliters millilitre millilitres
    volume 1 L l liter liters litre litres
    volume 3.785411784 gal gallon gallons
    mass 0.001 mg milligram milligrams
    mass 1 g gram grams
    mass 1000 kg kilogram kilograms kgs
    mass 453.59237 lb lbs
    mass 28.349523125 oz ounce ounces
    time 1 s sec secs second seconds
    time 60 min mins minute minutes
    time 3600 h hr hrs hour hours
    time 86400 day days
    time 604800 week weeks
    month 1 month months
    month 12 yr yrs year years
    angle 1 degree degrees deg °
    radian 1 rad rads radian radians
    usd 1 dollar dollars USD $
    usd 0.01 cent cents ¢
    eur 1 euro euros EUR €
    gbp 1 GBP £
    jpy 1 yen JPY ¥
    inr 1 rupee rupees INR Rs ₹
    yuan 1 yuan RMB CNY 元
    force 1 N newton newtons
    energy 1 J joule joules
    power 1 W watt watts
    voltage 1 V volt volts
    kelvin 1 K kelvin
    celsius 1 C celsius Celsius
    fahrenheit 1 F fahrenheit Fahrenheit
    """
    units = {}
    for line in table.strip().splitlines():
        dimension, factor, *names = line.split()
        units.update({name: (dimension, Fraction(factor)) for name in names})
    return units


UNITS = _units()
SPEEDS = {"mph": ("mi", "h"), "kmh": ("km", "h"), "kph": ("km", "h"), "fps": ("ft", "s")}
# A single letter behind a number is a unit only if it is one of these, and not in italics (`5x`).
PLAIN_LETTERS = frozenset("mgshLl")
_CODES = "USD EUR GBP JPY INR Rs CNY RMB AUD CAD CHF US kr zł"
CURRENCIES = frozenset("$€£¥₹¤") | frozenset(_CODES.split())
