"""The stock client of Confluent's Schema Registry, unchanged, and its serializers, through a running gateway."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient, avro, json_schema, protobuf
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

# Their constructors are made in a way that no type checker follows.
AvroSerializer: Any = avro.AvroSerializer
AvroDeserializer: Any = avro.AvroDeserializer
JSONSerializer: Any = json_schema.JSONSerializer
JSONDeserializer: Any = json_schema.JSONDeserializer
ProtobufSerializer: Any = protobuf.ProtobufSerializer
ProtobufDeserializer: Any = protobuf.ProtobufDeserializer

pytestmark = pytest.mark.asyncio(loop_scope="module")
AVRO = '{"type": "record", "name": "Order", "fields": [{"name": "total", "type": "long"}]}'
AVRO_WITH_NOTE = (
    '{"type": "record", "name": "Order", "fields": [{"name": "total", "type": "long"},'
    ' {"name": "note", "type": "string", "default": ""}]}'
)
AVRO_WITH_DUTY = (
    '{"type": "record", "name": "Order", "fields": [{"name": "total", "type": "long"},'
    ' {"name": "duty", "type": "string"}]}'
)
JSON = (
    '{"$schema": "http://json-schema.org/draft-07/schema#", "title": "Order", "type": "object",'
    ' "properties": {"total": {"type": "integer"}}, "required": ["total"], "additionalProperties": false}'
)


def client_of(platform, key=None) -> SchemaRegistryClient:
    return SchemaRegistryClient({
        "url": f"{platform.url}/registry", "basic.auth.user.info": f"anybody:{key or platform.first.secret_key}",
        "max.retries": 0,
    })  # fmt: skip


async def refused(act, *args) -> tuple[int, int]:
    """What the client says a call ended with."""
    with pytest.raises(SchemaRegistryError) as caught:
        await asyncio.to_thread(act, *args)
    return caught.value.http_status_code, caught.value.error_code


def fresh(word="orders") -> str:
    return f"{word}-{uuid4().hex[:8]}-value"


async def test_the_same_schema_has_one_id_and_version_however_often_it_is_registered(platform):
    client, subject = client_of(platform), fresh()
    first = await asyncio.to_thread(client.register_schema_full_response, subject, Schema(AVRO, "AVRO"))
    spaced = AVRO.replace(" ", "  ")
    second = await asyncio.to_thread(client_of(platform).register_schema_full_response, subject, Schema(spaced, "AVRO"))
    assert (first.schema_id, first.version) == (second.schema_id, second.version)
    elsewhere = await asyncio.to_thread(client.register_schema, fresh(), Schema(AVRO, "AVRO"))
    assert elsewhere == first.schema_id
    found = await asyncio.to_thread(client_of(platform).lookup_schema, subject, Schema(AVRO, "AVRO"))
    assert (found.schema_id, found.version, found.guid) == (first.schema_id, 1, first.guid)
    by_guid = await asyncio.to_thread(client_of(platform).get_schema_by_guid, str(first.guid))
    assert by_guid.schema_str == AVRO


async def test_an_incompatible_schema_is_refused_with_the_path_and_the_rule(platform):
    client, subject = client_of(platform), fresh()
    await asyncio.to_thread(client.register_schema, subject, Schema(AVRO, "AVRO"))
    assert await asyncio.to_thread(client.test_compatibility, subject, Schema(AVRO_WITH_NOTE, "AVRO"))
    assert not await asyncio.to_thread(client.test_compatibility, subject, Schema(AVRO_WITH_DUTY, "AVRO"))
    with pytest.raises(SchemaRegistryError, match="reader_field_missing_default at /fields/1") as caught:
        await asyncio.to_thread(client.register_schema, subject, Schema(AVRO_WITH_DUTY, "AVRO"))
    assert (caught.value.http_status_code, caught.value.error_code) == (409, 409)
    await asyncio.to_thread(client.set_compatibility, subject, "NONE")
    await asyncio.to_thread(client.register_schema, subject, Schema(AVRO_WITH_DUTY, "AVRO"))
    assert await asyncio.to_thread(client.get_versions, subject) == [1, 2]


async def test_deletion_is_soft_first_and_then_for_good(platform):
    client, subject = client_of(platform), fresh()
    text = AVRO.replace("Order", "Parcel")
    schema_id = await asyncio.to_thread(client.register_schema, subject, Schema(text, "AVRO"))
    noted = AVRO_WITH_NOTE.replace("Order", "Parcel")
    await asyncio.to_thread(client.register_schema, subject, Schema(noted, "AVRO"))
    assert await refused(client.delete_version, subject, 1, True) == (404, 40407)
    assert await asyncio.to_thread(client.delete_version, subject, 1) == 1
    assert await refused(client.delete_version, subject, 1) == (404, 40406)
    assert await asyncio.to_thread(client.get_versions, subject) == [2]
    assert await asyncio.to_thread(client.get_versions, subject, True) == [1, 2]
    assert (await asyncio.to_thread(client_of(platform).get_schema, schema_id)).schema_str == text
    assert await refused(client.delete_subject, subject, True) == (404, 40405)
    assert await asyncio.to_thread(client.delete_subject, subject) == [2]
    assert subject not in await asyncio.to_thread(client.get_subjects)
    assert subject in await asyncio.to_thread(client.get_subjects, None, True)
    assert await refused(client.get_versions, subject) == (404, 40404)
    assert await asyncio.to_thread(client.delete_subject, subject, True) == [1, 2]
    assert await refused(client.get_versions, subject) == (404, 40401)
    assert await refused(client_of(platform).get_schema, schema_id) == (404, 40403)


async def test_errors_have_the_numbers_that_clients_know(platform):
    client, subject = client_of(platform), fresh()
    assert await refused(client.get_latest_version, subject) == (404, 40401)
    assert await refused(client.register_schema, subject, Schema("{", "AVRO")) == (422, 42201)
    assert await refused(client.register_schema, subject, Schema('{"type": "nope"}', "JSON")) == (422, 42201)
    assert await refused(client.register_schema, subject, Schema("message {", "PROTOBUF")) == (422, 42201)
    await asyncio.to_thread(client.register_schema, subject, Schema(AVRO, "AVRO"))
    assert await refused(client.get_version, subject, 7) == (404, 40402)
    assert await refused(client.get_version, subject, "seven") == (422, 42202)
    assert await refused(client.get_schema, 2**31 - 1) == (404, 40403)
    assert await refused(client.get_compatibility, subject) == (404, 40408)
    assert await refused(client.set_compatibility, subject, "SIDEWAYS") == (422, 42203)
    assert await refused(client.update_mode, subject, "IMPORT") == (422, 42205)
    assert await refused(client.update_mode, subject, "SOMETIMES") == (422, 42204)
    await asyncio.to_thread(client.update_mode, subject, "READONLY")
    assert await refused(client.register_schema, subject, Schema(AVRO_WITH_NOTE, "AVRO")) == (422, 42205)


async def test_compatibility_is_set_for_the_store_and_for_a_subject(platform):
    client, subject = client_of(platform), fresh()
    assert await asyncio.to_thread(client.get_compatibility) == "BACKWARD"
    await asyncio.to_thread(client.set_compatibility, None, "FULL_TRANSITIVE")
    assert await asyncio.to_thread(client.get_compatibility) == "FULL_TRANSITIVE"
    await asyncio.to_thread(client.set_compatibility, subject, "FORWARD")
    assert await asyncio.to_thread(client.get_compatibility, subject) == "FORWARD"
    await asyncio.to_thread(client.delete_config, subject)
    await asyncio.to_thread(client.delete_config)
    assert await asyncio.to_thread(client.get_compatibility) == "BACKWARD"


async def test_a_referenced_schema_cannot_be_deleted(platform):
    client, money, order = client_of(platform), fresh("money"), fresh()
    text = '{"type": "record", "name": "shop.Money", "fields": [{"name": "minor", "type": "long"}]}'
    await asyncio.to_thread(client.register_schema, money, Schema(text, "AVRO"))
    outer = '{"type": "record", "name": "shop.Order", "fields": [{"name": "total", "type": "shop.Money"}]}'
    schema = Schema(outer, "AVRO", [SchemaReference("shop.Money", money, 1)])
    schema_id = await asyncio.to_thread(client.register_schema, order, schema)
    assert await asyncio.to_thread(client.get_referenced_by, money, 1) == [schema_id]
    assert await refused(client.delete_subject, money) == (422, 42206)
    missing = Schema(outer, "AVRO", [SchemaReference("shop.Money", money, 9)])
    assert await refused(client.register_schema, order, missing) == (422, 42201)
    await asyncio.to_thread(client.delete_subject, order)
    assert await asyncio.to_thread(client.delete_subject, money) == [1]


async def test_a_store_sees_its_own_subjects_and_ids_only(platform):
    _, theirs = await platform.another_store()
    ours, subject = client_of(platform), fresh()
    schema_id = await asyncio.to_thread(ours.register_schema, subject, Schema(AVRO, "AVRO"))
    foreign = client_of(platform, theirs)
    assert await asyncio.to_thread(foreign.get_subjects) == []
    assert await refused(foreign.get_schema, schema_id) == (404, 40403)
    assert await refused(foreign.get_latest_version, subject) == (404, 40401)
    own = await asyncio.to_thread(foreign.register_schema, subject, Schema(AVRO, "AVRO"))
    assert own != schema_id


async def test_a_key_that_may_not_is_told_so(platform):
    client = client_of(platform, platform.first.publishable_key)
    assert await refused(client.get_subjects) == (403, 40301)
    assert (await refused(client_of(platform, "rk_live_wrong").get_subjects))[0] == 401


async def test_a_bearer_token_opens_the_same_door(platform):
    client = SchemaRegistryClient({
        "url": f"{platform.url}/registry", "bearer.auth.credentials.source": "STATIC_TOKEN",
        "bearer.auth.token": platform.first.secret_key, "bearer.auth.logical.cluster": "recoup",
    })  # fmt: skip
    assert isinstance(await asyncio.to_thread(client.get_subjects), list)


async def test_avro_goes_round(platform):
    topic = f"avro-{uuid4().hex[:8]}"
    context = SerializationContext(topic, MessageField.VALUE)
    raw = await asyncio.to_thread(AvroSerializer(client_of(platform), AVRO), {"total": 1999}, context)
    newer = AvroDeserializer(client_of(platform), AVRO_WITH_NOTE)
    assert await asyncio.to_thread(newer, raw, context) == {"total": 1999, "note": ""}


async def test_json_goes_round(platform):
    topic = f"json-{uuid4().hex[:8]}"
    context = SerializationContext(topic, MessageField.VALUE)
    raw = await asyncio.to_thread(JSONSerializer(JSON, client_of(platform)), {"total": 1999}, context)
    back = JSONDeserializer(None, schema_registry_client=client_of(platform))
    assert await asyncio.to_thread(back, raw, context) == {"total": 1999}


async def test_protobuf_goes_round_with_its_imports(platform):
    order = protobuf_order()
    topic = f"proto-{uuid4().hex[:8]}"
    context = SerializationContext(topic, MessageField.VALUE)
    client = client_of(platform)
    serializer = ProtobufSerializer(order, client, {"use.deprecated.format": False})
    raw = await asyncio.to_thread(serializer, order(total={"minor": 1999}), context)
    deserializer = ProtobufDeserializer(order, {"use.deprecated.format": False}, client_of(platform))
    assert (await asyncio.to_thread(deserializer, raw, context)).total.minor == 1999
    assert "shop/money.proto" in await asyncio.to_thread(client.get_subjects)
    again = await asyncio.to_thread(client.get_latest_version, f"{topic}-value")
    assert again.version == 1


def protobuf_order():
    """A message class whose file imports another, and a well-known type."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    money = descriptor_pb2.FileDescriptorProto(name="shop/money.proto", package="shop", syntax="proto3")
    field = money.message_type.add(name="Money").field.add(name="minor", number=1, type=3, label=1)
    assert field.name == "minor"
    order = descriptor_pb2.FileDescriptorProto(
        name="shop/order.proto", package="shop", syntax="proto3",
        dependency=["shop/money.proto", "google/protobuf/timestamp.proto"],
    )  # fmt: skip
    message = order.message_type.add(name="Order")
    message.field.add(name="total", number=1, type=11, label=1, type_name=".shop.Money")
    message.field.add(name="at", number=2, type=11, label=1, type_name=".google.protobuf.Timestamp")
    pool.Add(money)
    pool.Add(order)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Order"))


async def test_text_and_descriptor_of_one_protobuf_file_are_one_schema(platform):
    subject = fresh("proto")
    text = 'syntax = "proto3"; package shop; message Money { int64 minor = 1; }'
    client = client_of(platform)
    schema_id = await asyncio.to_thread(client.register_schema, subject, Schema(text, "PROTOBUF"))
    answer = await asyncio.to_thread(
        httpx.get, f"{platform.url}/registry/schemas/ids/{schema_id}?format=serialized",
        headers={"X-Api-Key": platform.first.secret_key},
    )  # fmt: skip
    assert answer.headers["content-type"] == "application/vnd.schemaregistry.v1+json"
    descriptor = Schema(answer.json()["schema"], "PROTOBUF")
    assert await asyncio.to_thread(client_of(platform).register_schema, subject, descriptor) == schema_id
