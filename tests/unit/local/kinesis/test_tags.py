"""Tags, resource policies and consumers."""

from __future__ import annotations

import pytest

from tests.unit.local.kinesis.conftest import World

# -- tags, policies, consumers -------------------------------------------------------------------------------


def test_tags_are_added_replaced_removed_and_paged(world: World) -> None:
    arn = world.stream(Tags={"a": "1"})
    world.call("AddTagsToStream", StreamName="s", Tags={"a": "2", "b": ""})
    world.call("TagResource", ResourceARN=arn, Tags={"c": "3"})
    first = world.call("ListTagsForStream", StreamName="s", Limit=2)
    assert first == {"Tags": [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}], "HasMoreTags": True}
    assert world.call("ListTagsForStream", StreamName="s", ExclusiveStartTagKey="b")["Tags"][0]["Key"] == "c"
    world.call("RemoveTagsFromStream", StreamName="s", TagKeys=["a", "none"])
    world.call("UntagResource", ResourceARN=arn, TagKeys=["b"])
    assert world.call("ListTagsForResource", ResourceARN=arn)["Tags"] == [{"Key": "c", "Value": "3"}]


@pytest.mark.parametrize("tags", [{"a": "%"}, {"aws:x": "1"}, {str(index): "" for index in range(51)}])
def test_tags_have_rules(world: World, tags: dict[str, str]) -> None:
    world.stream()
    assert world.refusal("AddTagsToStream", StreamName="s", Tags=tags)[0] == "InvalidArgumentException"


def test_tags_of_a_stream_being_made_cannot_be_changed(world: World) -> None:
    world.call("CreateStream", StreamName="s", ShardCount=1, Tags={"a": "1"})
    assert world.refusal("AddTagsToStream", StreamName="s", Tags={"b": "2"})[0] == "ResourceInUseException"
    assert world.call("ListTagsForStream", StreamName="s")["Tags"] == [{"Key": "a", "Value": "1"}]


def test_policies_are_kept_per_resource(world: World) -> None:
    arn = world.stream()
    assert world.refusal("GetResourcePolicy", ResourceARN=arn)[0] == "ResourceNotFoundException"
    assert world.refusal("PutResourcePolicy", ResourceARN=arn, Policy="{")[0] == "InvalidArgumentException"
    world.call("PutResourcePolicy", ResourceARN=arn, Policy='{"Statement": []}')
    world.restart()
    assert world.call("GetResourcePolicy", ResourceARN=arn)["Policy"] == '{"Statement": []}'
    world.call("DeleteResourcePolicy", ResourceARN=arn)
    assert world.refusal("DeleteResourcePolicy", ResourceARN=arn)[0] == "ResourceNotFoundException"


def test_a_consumer_is_registered_described_tagged_and_removed(world: World) -> None:
    arn = world.stream()
    consumer = world.call("RegisterStreamConsumer", StreamARN=arn, ConsumerName="c", Tags={"a": "1"})[
        "Consumer"
    ]
    assert consumer["ConsumerStatus"] == "CREATING"
    assert consumer["ConsumerARN"] == f"{arn}/consumer/c:{int(world.now)}"
    assert (
        world.refusal("RegisterStreamConsumer", StreamARN=arn, ConsumerName="c")[0]
        == "ResourceInUseException"
    )
    world.advance(1)
    for request in ({"ConsumerARN": consumer["ConsumerARN"]}, {"StreamARN": arn, "ConsumerName": "c"}):
        described = world.call("DescribeStreamConsumer", **request)["ConsumerDescription"]
        assert (described["ConsumerStatus"], described["StreamARN"]) == ("ACTIVE", arn)
    world.call("TagResource", ResourceARN=consumer["ConsumerARN"], Tags={"b": "2"})
    tags = world.call("ListTagsForResource", ResourceARN=consumer["ConsumerARN"])["Tags"]
    assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    world.call("DeregisterStreamConsumer", StreamARN=arn, ConsumerName="c")
    assert world.call("ListStreamConsumers", StreamARN=arn)["Consumers"][0]["ConsumerStatus"] == "DELETING"
    world.advance(1)
    assert world.call("ListStreamConsumers", StreamARN=arn)["Consumers"] == []
    assert (
        world.refusal("DescribeStreamConsumer", StreamARN=arn, ConsumerName="c")[0]
        == "ResourceNotFoundException"
    )


def test_consumers_are_limited_and_listed_in_pages(world: World) -> None:
    arn = world.stream()
    for index in range(20):
        world.call("RegisterStreamConsumer", StreamARN=arn, ConsumerName=f"c{index:02d}")
        world.advance(1)
    assert (
        world.refusal("RegisterStreamConsumer", StreamARN=arn, ConsumerName="x")[0]
        == "LimitExceededException"
    )
    first = world.call("ListStreamConsumers", StreamARN=arn, MaxResults=15)
    second = world.call("ListStreamConsumers", StreamARN=arn, NextToken=first["NextToken"])
    assert (len(first["Consumers"]), len(second["Consumers"])) == (15, 5)


def test_a_stream_with_consumers_is_deleted_only_on_demand(world: World) -> None:
    arn = world.stream()
    world.call("RegisterStreamConsumer", StreamARN=arn, ConsumerName="c")
    assert world.refusal("DeleteStream", StreamName="s")[0] == "ResourceInUseException"
    world.call("DeleteStream", StreamName="s", EnforceConsumerDeletion=True)
    world.advance(1)
    assert world.call("ListStreams")["StreamNames"] == []
