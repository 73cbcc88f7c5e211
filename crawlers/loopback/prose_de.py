"""German prose of the made web, in the same form as the English."""

from __future__ import annotations

from typing import Final

TOPICS: Final[dict[str, tuple[str, ...]]] = {
    "Moore und Torf": (
        "Ein Moor wächst nur einen Millimeter im Jahr, und wer einen Spatenstich hebt, hält Jahrhunderte in der Hand.",
        "Torfmoose trinken das Zwanzigfache ihres Gewichts und geben das Wasser erst im Sommer wieder her.",
        "Früher wurden die Soden im April gestochen, im Mai gewendet und vor der Heuernte nach Hause gefahren.",
        "Der Sonnentau fängt Mücken, weil der Boden ihm fast nichts zu essen gibt.",
        "Wird ein Graben verschlossen, so steigt das Wasser langsam, und nach zehn Jahren kehren die Kraniche zurück.",
        "Auf den schwankenden Bohlen geht man besser nicht im Gleichschritt.",
    ),
    "Orgeln auf dem Land": (
        "Die größte Pfeife der Dorforgel ist höher als die Kanzel, die kleinste kürzer als ein Bleistift.",
        "Der Balgtreter bekam ein Brot und einen Platz, von dem aus er den Pfarrer nicht sehen konnte.",
        "Zinn klingt hell, Blei klingt weich, und der Orgelbauer mischt beides nach Gehör.",
        "Im Winter stimmt kein Register, denn kalte Luft macht jeden Ton ein wenig tiefer.",
        "Mäuse lieben das Leder der Ventile, weshalb in manchen Kirchen eine Katze angestellt war.",
        "Nach der letzten Reinigung fand man in der Windlade drei Groschen und einen Liebesbrief.",
    ),
    "Bergwerke im Erzgebirge": (
        "Unter dem Städtchen liegen mehr Gänge als darüber Gassen, und niemand hat einen vollständigen Plan.",
        "Die Knappen erkannten gutes Gestein am Klang, wenn der Hammer es nur leicht berührte.",
        "Wasser war der ärgste Feind, und darum trieb ein Bach das Rad, das den anderen Bach aus der Tiefe hob.",
        "Vor der Einfahrt wurde gesungen, und wer nicht mitsang, dem traute man den ganzen Tag nicht.",
        "Silber machte die Stadt reich, Zinn machte sie alt, und heute lebt sie von Nussknackern.",
        "In den stillgelegten Stollen schlafen im Winter vierhundert Fledermäuse mit dem Kopf nach unten.",
    ),
    "Fähren und Flüsse": (
        "Eine Gierseilfähre braucht keinen Motor, denn die Strömung selbst schiebt sie von Ufer zu Ufer.",
        "Bei Hochwasser hängt der Fährmann eine rote Laterne aus und geht Kartoffeln schälen.",
        "Wer am Abend hinüber wollte, schlug an eine Pflugschar, die am Pfahl hing.",
        "Zwischen den Buhnen liegt der Sand so fein, dass die Kinder ihn für ihre Sanduhren holen.",
        "Die neue Brücke spart zwölf Minuten und kostet das Dorf seine besten Gespräche.",
        "Aale wandern in mondlosen Nächten, und darum standen die Reusen im Oktober bereit.",
    ),
    "Apfelwein und Obstwiesen": (
        "Auf einer alten Streuobstwiese stehen vierzig Sorten, und für jede gibt es einen richtigen Tag der Ernte.",
        "Saure Äpfel machen guten Most, süße machen vor allem den Wespen Freude.",
        "Der Baumwart schneidet im Februar, wenn der Saft noch schläft und das Auge die Äste zählen kann.",
        "Im Keller gluckst es bis Weihnachten, danach wird der Wein klar und der Streit über den Jahrgang beginnt.",
        "Steinkäuze brüten in hohlen Stämmen, deshalb fällt man einen toten Baum hier nicht gern.",
        "Ein Hochstamm trägt erst nach zehn Jahren, aber dann trägt er für die Enkel.",
    ),
}  # fmt: skip

ANY: Final[tuple[str, ...]] = (
    "{person} aus {place} hat darüber {number} Jahre lang Buch geführt und keinen {day} ausgelassen.",
    "Wer in {place} danach fragt, wird zu {person} geschickt und bleibt meistens bis zum Abendbrot.",
    "Im Museum von {place} steht {thing}, und {person} erklärt es {season} jedem, der zuhört.",
    "Ein Brief aus {place} erwähnt {thing} schon {season}, allerdings ohne ein Wort über den Preis.",
    "Nach Ansicht von {person} sollte man {season} gar nicht erst damit anfangen.",
    "Der Gemeinderat von {place} beriet {number} Stunden und kaufte schließlich {thing}.",
    "Auf dem Dachboden fand {person} {thing} und {number} eng beschriebene Seiten.",
    "Eine Schulklasse aus {place} maß {number} Tage lang nach und gab {person} am Ende recht.",
    "{season} ist die Straße nach {place} gesperrt, und {person} trägt alles zu Fuß.",
    "An einem {day} verkaufte {person} das letzte Stück, und seither fehlt in {place} etwas.",
    "Ohne {thing}, so sagt {person}, wäre das Ganze nur Glückssache.",
    "Die Zeitung von {place} widmete der Entdeckung vier Zeilen und {person} eine halbe Seite.",
    "Vom Kirchturm in {place} sieht man {season} bis zur Grenze, sofern {person} den Schlüssel findet.",
    "Zum Fest am {day} kommen {number} Gäste, und {person} hält jedes Mal dieselbe Rede.",
)

FILL: Final[dict[str, tuple[str, ...]]] = {
    "person": (
        "der alte Lehrer", "Tante Hedwig", "der Küster", "eine junge Geologin", "der Wirt vom Anker", "die Müllerin",
        "der Förster", "ein Uhrmacher", "die Organistin", "der Nachbar von gegenüber",
    ),
    "place": (
        "Niederwalde", "Sankt Veit", "Krummbach", "Altensee", "Oberlauter", "Hohenried", "Birkenau am Teich", "Langenfurt",
        "Wieserode", "Steinhude",
    ),
    "season": (
        "im zeitigen Frühjahr", "im Hochsommer", "zur Erntezeit", "im Spätherbst", "in der Adventszeit", "nach dem großen Frost",
        "in jedem Schaltjahr", "kurz vor Pfingsten",
    ),
    "number": ("elf", "vierzehn", "neunzehn", "sechsundzwanzig", "dreißig", "zweiundvierzig", "sechzig", "neunzig"),
    "day": ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"),
    "thing": (
        "einen Messingkompass", "einen Kupferkessel", "eine Schubkarre", "eine Laterne", "ein Barometer", "einen Schlitten",
        "eine Blechtruhe", "einen Weidenkorb",
    ),
}  # fmt: skip

TITLES: Final = (
    "Was man über {topic} weiß",
    "Kleine Geschichte: {topic}",
    "Notizen: {topic}",
    "Gespräche über {topic}",
)
