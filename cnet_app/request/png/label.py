"""The mark that a model made the picture: IPTC's DigitalSourceType as XMP, which image sites and editors read."""

from __future__ import annotations

from typing import Literal

XMP_CHUNK = "XML:com.adobe.xmp"
"""Name of the PNG text chunk that holds XMP."""
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SourceType = Literal["trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"]
"""Made by a trained model alone; made by one out of another picture."""

_PACKET = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
   <Iptc4xmpExt:DigitalSourceType>{uri}</Iptc4xmpExt:DigitalSourceType>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def source_packet(kind: SourceType) -> str:
    """Return the XMP packet that names the source type and nothing else."""
    return _PACKET.format(uri=SOURCE_TYPES + kind)
