"""The endpoints of a VPC: the loader's way to its secret, and a gateway for S3."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.deploy.networks import DEFAULT, EVERYWHERE, SECRETS, Network, refused, rules
from tests.unit.deploy.places import REGION
from tests.unit.deploy.remote import Remote, changed_fields, settings_of, tear_down
from txnpipe.deploy.plan import Action, assess
from txnpipe.deploy.teardown import sweep, take_inventory
from txnpipe.errors import ExitCode

ENDPOINT = "vpc endpoint/transaction-warehouse"
GATEWAY = "s3 gateway/transaction-warehouse"


class TestSecretsEndpoint:
    """The loader's way to its secret."""

    def test_a_stranger_s_endpoint_serves_and_stays(self, remote: Remote) -> None:
        network = Network(remote)
        network.subnet("use1-az1")
        made = network.endpoint()
        for way in ("create", "existing"):
            resource = remote.graph(network.settings(secrets_endpoint=way)).resources[ENDPOINT]
            assert assess(resource).change.action is Action.UNCHANGED
            resource.delete()
        assert [item["VpcEndpointId"] for item in network.ec2.describe_vpc_endpoints()["VpcEndpoints"]] == [
            made
        ]

    @pytest.mark.parametrize(
        ("allowed", "admitted"),
        [
            ({"IpRanges": [{"CidrIp": "10.0.0.0/16"}]}, True),
            ({"IpRanges": [{"CidrIp": "10.0.9.0/24"}]}, False),
            ({"IpRanges": [{"CidrIp": "10.0.0.0/16"}], "FromPort": 80, "ToPort": 80}, False),
            ({"IpProtocol": "-1", "FromPort": -1, "ToPort": -1, "IpRanges": [{"CidrIp": EVERYWHERE}]}, True),
        ],
    )
    def test_a_stranger_s_endpoint_that_keeps_the_loader_out_is_refused(
        self, remote: Remote, allowed: dict[str, Any], admitted: bool
    ) -> None:
        network = Network(remote)
        subnet = network.subnet("use1-az1")
        https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
        group = network.security_group("theirs", https | allowed)
        network.endpoint([group])
        if admitted:
            remote.plan(network.settings())
            return
        error = refused(remote, network.settings())
        assert error.exit_code is ExitCode.ENVIRONMENT
        assert f"keep out {subnet}" in error.cause
        assert f"--group-id {group}" in error.fix

    def test_without_endpoint_and_route_the_existing_one_is_demanded(self, remote: Remote) -> None:
        network = Network(remote)
        subnet = network.subnet("use1-az1")
        network.endpoint(private_dns=False)
        error = refused(remote, network.settings(secrets_endpoint="existing"))
        assert error.exit_code is ExitCode.ENVIRONMENT
        assert subnet in error.cause
        assert f"--service-name {SECRETS}" in error.fix

    def test_an_internet_gateway_is_no_way_out_for_a_function(self, remote: Remote) -> None:
        network = Network(remote)
        subnet = network.subnet("use1-az1", public=True)
        error = refused(remote, network.settings(subnet_ids=[subnet], secrets_endpoint="existing"))
        assert "no route out" in error.cause

    def test_one_subnet_without_a_route_is_one_too_many(self, remote: Remote) -> None:
        network = Network(remote)
        network.nat_route(network.subnet("use1-az1"))
        closed = network.subnet("use1-az2")
        error = refused(remote, network.settings(secrets_endpoint="existing"))
        assert f"and {closed} no route out" in error.cause

    def test_a_nat_route_needs_no_endpoint(self, remote: Remote) -> None:
        network = Network(remote)
        network.nat_route(network.subnet("use1-az1"))
        settings = network.settings(secrets_endpoint="existing")
        remote.setup(settings)
        assert changed_fields(remote.plan(settings)) == {}
        assert network.ec2.describe_vpc_endpoints()["VpcEndpoints"] == []
        egress = rules(remote, "TransactionLoader", "IpPermissionsEgress")
        assert egress == {5439: ["10.0.0.0/16"], 443: [EVERYWHERE]}
        assert ENDPOINT not in take_inventory(remote.graph(settings)).present

    def test_ours_is_used_and_removed_although_none_would_be_made_any_more(self, remote: Remote) -> None:
        remote.setup(DEFAULT)
        existing = settings_of(network={"secrets_endpoint": "existing"})
        assert changed_fields(remote.plan(existing)) == {}
        tear_down(remote, existing)
        assert sweep(remote.graph(existing)).empty

    def test_another_name_is_tried_where_the_region_does_not_know_the_common_one(
        self, remote: Remote, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from txnpipe.names import Names

        monkeypatch.setattr(Names, "dns_suffix", "amazonaws.com.cn")
        message = f"The Vpc Endpoint Service '{SECRETS}' does not exist"
        refusals = remote.refuse("ec2.CreateVpcEndpoint", "InvalidServiceName", message)
        remote.setup(DEFAULT)
        assert len(refusals) == 1
        (made,) = remote.target.client("ec2").describe_vpc_endpoints()["VpcEndpoints"]
        assert made["ServiceName"] == f"cn.{SECRETS}"
        assert changed_fields(remote.plan(DEFAULT)) == {}


class TestS3Gateway:
    """The gateway endpoint for S3."""

    def gateways(self, remote: Remote) -> dict[str, list[str]]:
        """Id → route tables."""
        return {
            item["VpcEndpointId"]: sorted(item["RouteTableIds"])
            for item in remote.target.client("ec2").describe_vpc_endpoints()["VpcEndpoints"]
            if item["VpcEndpointType"] == "Gateway" and item["State"] != "deleted"
        }

    def test_it_is_made_for_the_tables_of_the_subnets_and_goes_again(self, remote: Remote) -> None:
        network = Network(remote)
        own = network.nat_route(network.subnet("use1-az1"))
        network.subnet("use1-az2")
        wanted = network.settings(s3_gateway=True)
        remote.setup(wanted)
        assert changed_fields(remote.plan(wanted)) == {}
        ((tables),) = self.gateways(remote).values()
        assert len(tables) == 2
        assert own in tables
        assert changed_fields(remote.plan(network.settings())) == {GATEWAY: ["route_tables"]}
        remote.setup(network.settings())
        assert self.gateways(remote) == {}
        assert changed_fields(remote.plan(network.settings())) == {}

    def test_a_new_subnet_s_table_is_added_and_an_old_one_s_removed(self, remote: Remote) -> None:
        network = Network(remote)
        first, second = network.subnet("use1-az1"), network.subnet("use1-az2")
        tables = [network.nat_route(first), network.nat_route(second)]
        remote.setup(network.settings(s3_gateway=True, subnet_ids=[first]))
        assert list(self.gateways(remote).values()) == [tables[:1]]
        later = network.settings(s3_gateway=True, subnet_ids=[second])
        resource = remote.graph(later).resources[GATEWAY]
        found = assess(resource)
        resource.update(found.desired, found.change.differences)
        assert list(self.gateways(remote).values()) == [tables[1:]]

    def test_a_stranger_s_serves_and_stays(self, remote: Remote) -> None:
        network = Network(remote)
        table = network.nat_route(network.subnet("use1-az1"))
        network.ec2.create_vpc_endpoint(
            VpcEndpointType="Gateway",
            VpcId=network.id,
            ServiceName=f"com.amazonaws.{REGION}.s3",
            RouteTableIds=[table],
        )
        before = self.gateways(remote)
        settings = network.settings(s3_gateway=True)
        remote.setup(settings)
        assert self.gateways(remote) == before
        assert changed_fields(remote.plan(settings)) == {}
        tear_down(remote, settings)
        assert self.gateways(remote) == before

    def test_ours_is_made_beside_a_stranger_s_for_the_tables_it_leaves_out(self, remote: Remote) -> None:
        network = Network(remote)
        tables = [network.nat_route(network.subnet(zone)) for zone in ("use1-az1", "use1-az2")]
        network.ec2.create_vpc_endpoint(
            VpcEndpointType="Gateway",
            VpcId=network.id,
            ServiceName=f"com.amazonaws.{REGION}.s3",
            RouteTableIds=tables[:1],
        )
        settings = network.settings(s3_gateway=True)
        remote.setup(settings)
        assert sorted(self.gateways(remote).values()) == sorted([tables[:1], tables[1:]])
        assert changed_fields(remote.plan(settings)) == {}
        tear_down(remote, settings)
        assert list(self.gateways(remote).values()) == [tables[:1]]

    def test_it_is_handed_over_to_a_pipeline_that_lives_on(self, remote: Remote) -> None:
        wanted = {"s3_gateway": True}
        remote.setup(settings_of(network=wanted))
        staging = settings_of(pipeline="staging", network=wanted)
        remote.setup(staging)
        before = self.gateways(remote)
        assert len(before) == 1
        tear_down(remote, settings_of(network=wanted))
        assert self.gateways(remote) == before
        assert changed_fields(remote.plan(staging)) == {}
        tear_down(remote, staging)
        assert self.gateways(remote) == {}
