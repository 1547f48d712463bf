"""The forms that Prefect shows must be those of the requests, with a description for each field."""

import inspect
import subprocess
import sys

import pytest
from prefect.utilities.callables import parameter_schema

from terralab.flows.predict import PredictRequest, predict
from terralab.flows.validate import ValidateRequest, validate


@pytest.mark.parametrize(("flow", "request_type"), [(predict, PredictRequest), (validate, ValidateRequest)])
def test_form_has_the_fields_of_the_request(flow, request_type) -> None:
    assert list(inspect.signature(flow.fn).parameters) == list(request_type.model_fields)
    properties = parameter_schema(flow.fn).model_dump()["properties"]
    assert all(field.get("description") for field in properties.values())
    for name, field in request_type.model_fields.items():
        if not field.is_required() and field.default_factory is None:
            assert properties[name]["default"] == field.default


def test_flows_are_read_without_torch() -> None:
    code = (
        "import sys, terralab.flows.predict, terralab.flows.validate;"
        "heavy = {'torch', 'terratorch', 'terrakit', 'sklearn'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
