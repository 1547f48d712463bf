"""A process that ingests, for a test that kills it in the middle."""

import json
import sys

from terralab.catalog.workspace import Workspace
from terralab.datasets.imagery.request import IngestRequest
from terralab.flows.ingest import ingest_imagery
from terralab.flows.progress import LogProgress

if __name__ == "__main__":
    ingest_imagery(Workspace(), IngestRequest.model_validate(json.loads(sys.argv[1])), LogProgress())
