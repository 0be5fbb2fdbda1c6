"""RDF/XML of CIM as objects, read in one pass and without anything that a document could make grow.

IEC 61970-552: children of `rdf:RDF` are objects, their children attributes with a text or an
`rdf:resource`. A document type, the only place where entities can be defined, is refused.
"""

from typing import BinaryIO, NoReturn
from xml.parsers import expat

from flexpeer.adapters.gridfiles.cim_objects import Item, Model, key_of
from flexpeer.errors import bad_input

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
SEPARATOR = " "
PASSED_OVER = frozenset(
    (
        "AccumulatorValue",
        "Accumulator",
        "Analog",
        "AnalogValue",
        "CoordinateSystem",
        "CurveData",
        "DiagramObject",
        "DiagramObjectPoint",
        "Diagram",
        "Discrete",
        "DiscreteValue",
        "IncrementalDataset",
        "Location",
        "MeasurementValue",
        "Name",
        "NameType",
        "PositionPoint",
        "StringMeasurement",
        "TextDiagramObject",
        "VisibilityLayer",
        "DiagramObjectGluePoint",
        "WireSpacingInfo",
        "WirePosition",
        "FullModel",
    )
)
"""Classes of which there can be very many and none of which is read."""


class NotRdf(Exception):
    """The document is XML, but its root is not `rdf:RDF`."""


def read_document(stream: BinaryIO, where: str, model: Model) -> bool:
    """Merge a document into the model; whether it has the namespace of any CIM version.

    `BadInput` with the line of whatever is not well-formed or not allowed; `NotRdf` for other XML.
    """
    return _Reader(where, model).read(stream)


class _Reader:
    def __init__(self, where: str, model: Model) -> None:
        self.where, self.model = where, model
        self.depth, self.is_cim = 0, False
        self.item: Item | None = None
        self.attribute, self.text = "", list[str]()
        self.locals: dict[str, str] = {}
        self.parser = expat.ParserCreate(namespace_separator=SEPARATOR)
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.StartDoctypeDeclHandler = self.doctype

    def read(self, stream: BinaryIO) -> bool:
        try:
            self.parser.ParseFile(stream)
        except expat.ExpatError as mistake:
            problem = f"{expat.ErrorString(mistake.code)} at line {mistake.lineno}, column {mistake.offset + 1}"
            raise bad_input(self.where, problem, "well-formed XML", line=mistake.lineno) from mistake
        except (LookupError, ValueError) as mistake:
            raise bad_input(self.where, f"cannot be decoded: {mistake}", "XML in UTF-8") from mistake
        return self.is_cim

    def doctype(self, *_: object) -> NoReturn:
        self.refuse("a document type, which could define entities", "XML without <!DOCTYPE>")

    def refuse(self, problem: str, expected: str) -> NoReturn:
        raise bad_input(self.where, problem, expected, line=self.parser.CurrentLineNumber)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth == 1 and tag != f"{RDF}{SEPARATOR}RDF":
            raise NotRdf
        if self.depth == 2:
            self.begin(tag, attributes)
        elif self.depth == 3 and self.item is not None:
            self.attribute = self.local(tag)
            self.text.clear()
            resource = attributes.get(f"{RDF}{SEPARATOR}resource")
            if resource is not None:
                self.refer(self.item, key_of(resource))
                self.attribute = ""

    def begin(self, tag: str, attributes: dict[str, str]) -> None:
        kind = self.local(tag)
        if kind in {"DifferenceModel", "forwardDifferences", "reverseDifferences"}:
            self.refuse("a difference model", "full models")
        identifier = attributes.get(f"{RDF}{SEPARATOR}ID")
        about = identifier or attributes.get(f"{RDF}{SEPARATOR}about")
        self.item = None
        if about and kind not in PASSED_OVER:
            self.item = self.merged(kind, key_of(about), defined=identifier is not None)

    def merged(self, kind: str, key: str, *, defined: bool) -> Item:
        item = self.model.objects.get(key)
        if item is None:
            line = self.parser.CurrentLineNumber
            item = self.model.objects[key] = Item(kind, key, self.where, line, {}, self.model.report)
        elif kind not in ("Description", item.kind) and (defined or item.kind == "Description"):
            item.kind = kind
        return item

    def refer(self, item: Item, key: str) -> None:
        self.model.refer(item, self.attribute, key)

    def characters(self, text: str) -> None:
        if self.depth == 3 and self.attribute:
            self.text.append(text)

    def end(self, _: str) -> None:
        if self.depth == 3 and self.item is not None and self.attribute:
            self.state(self.item, "".join(self.text).strip())
        self.depth -= 1

    def state(self, item: Item, value: str) -> None:
        stated = item.values.setdefault(self.attribute, value)
        if stated != value and not self.attribute.startswith("IdentifiedObject."):
            item.note(self.attribute, f"{stated} and {value} are stated; the first counts", "one value in all files")

    def local(self, tag: str) -> str:
        """The name without its namespace; notes in passing whether the namespace is one of CIM."""
        found = self.locals.get(tag)
        if found is None:
            space, _, name = tag.rpartition(SEPARATOR)
            self.is_cim |= "CIM" in space.upper().rpartition("/")[2]
            found = self.locals[tag] = name
        return found
