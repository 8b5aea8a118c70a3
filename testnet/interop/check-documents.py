"""Parses directory documents with stem, validation on. Each file DIR/NN.TYPE holds documents of one type.

Prints one JSON line a file: its name, how many documents were in it, and the error that one of them raised, if any.
Consensuses are also held against the key certificates of DIR.
"""

import json
import pathlib
import sys

import stem.descriptor
import stem.version
from stem.descriptor import DocumentHandler

TYPES = {
  'server': 'server-descriptor 1.0',
  'extra': 'extra-info 1.0',
  'micro': 'microdescriptor 1.0',
  'vote': 'network-status-vote-3 1.0',
  'consensus': 'network-status-consensus-3 1.0',
  'consensus-microdesc': 'network-status-microdesc-consensus-3 1.0',
  'certificate': 'dir-key-certificate-3 1.0',
  'hs': 'hidden-service-descriptor-3 1.0',
  'bandwidth': 'bandwidth-file 1.0',
}
STATUS = ('vote', 'consensus', 'consensus-microdesc')


# Where no authority recommends versions, C tor writes the line without any [networkstatus_compute_consensus], which
# stem, made for the public network, does not expect.
get_version = stem.version._get_version
stem.version._get_version = lambda text: get_version(text) if text else None


def parse(path, kind):
  handler = DocumentHandler.DOCUMENT if kind in STATUS else DocumentHandler.ENTRIES
  found = stem.descriptor.parse_file(
    str(path), descriptor_type=TYPES[kind], validate=True, document_handler=handler)
  return list(found)


def read_everything(documents):
  for document in documents:
    str(document)
    for name in dir(document):
      if not name.startswith('_') and not callable(getattr(document, name)):
        getattr(document, name)


def main(folder):
  paths = sorted(pathlib.Path(folder).iterdir(), key=lambda path: (not path.suffix == '.certificate', path.name))
  certificates = []
  for path in paths:
    kind = path.suffix[1:]
    answer = {'file': path.name, 'documents': 0}
    try:
      documents = parse(path, kind)
      answer['documents'] = len(documents)
      read_everything(documents)
      if kind == 'certificate':
        certificates += documents
      # Of the microdesc flavour, whose signatures are over SHA-256, stem checks no signature.
      if kind == 'consensus':
        for document in documents:
          document.validate_signatures(certificates)
    except Exception as error:
      answer['error'] = '%s: %s' % (type(error).__name__, error)
    print(json.dumps(answer))


main(sys.argv[1])
