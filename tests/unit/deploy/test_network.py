"""The network on an account in memory: VPC, subnets, security groups."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.deploy.networks import DEFAULT, EVERYWHERE, Network, group_id, refused, rules, vpc_of
from tests.unit.deploy.remote import Remote, changed_fields, settings_of, tear_down
from txnpipe.deploy.plan import Action
from txnpipe.deploy.teardown import sweep
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.vpc import at_least_zones

LOADER_GROUP = "security group/TransactionLoader"
WAREHOUSE_GROUP = "security group/transaction-warehouse"
ENDPOINT_GROUP = "security group/transaction-endpoint"
ENDPOINT = "vpc endpoint/transaction-warehouse"


class TestVpc:
    """Which VPC and subnets."""

    def test_an_account_without_a_default_vpc_is_told_what_to_do(self, remote: Remote) -> None:
        ec2 = remote.target.client("ec2")
        for subnet in ec2.describe_subnets()["Subnets"]:
            ec2.delete_subnet(SubnetId=subnet["SubnetId"])
        for vpc in ec2.describe_vpcs()["Vpcs"]:
            ec2.delete_vpc(VpcId=vpc["VpcId"])
        error = refused(remote, DEFAULT)
        assert "no default VPC" in error.cause
        assert "create-default-vpc" in error.fix
        assert error.details == ()

    def test_the_default_subnets_carry_their_zones(self, remote: Remote) -> None:
        found = vpc_of(remote, DEFAULT)
        assert len(found.zones) == len(found.placed) == len(found.subnets)
        assert "use1-az3" in found.zones
        assert len(found.open_subnets) == len(found.subnets) - 1

    def test_a_named_vpc_gives_its_private_subnets(self, remote: Remote) -> None:
        network = Network(remote)
        private = {network.subnet("use1-az1"), network.subnet("use1-az2")}
        network.subnet("use1-az1", public=True)
        network.subnet("use1-az3")
        assert set(vpc_of(remote, network.settings()).subnets) == private

    def test_two_private_subnets_in_one_zone_are_for_the_user_to_choose_from(self, remote: Remote) -> None:
        network = Network(remote)
        both = {network.subnet("use1-az1"), network.subnet("use1-az1")}
        error = refused(remote, network.settings())
        assert error.exit_code is ExitCode.USAGE
        assert all(subnet in error.cause for subnet in both)
        assert "network.subnet_ids" in error.fix

    def test_a_vpc_without_a_private_subnet_is_refused(self, remote: Remote) -> None:
        network = Network(remote)
        network.subnet("use1-az1", public=True)
        error = refused(remote, network.settings())
        assert error.exit_code is ExitCode.ENVIRONMENT
        assert "no private subnet" in error.cause

    def test_named_subnets_are_used_whatever_they_are(self, remote: Remote) -> None:
        network = Network(remote)
        named = [network.subnet("use1-az1", public=True), network.subnet("use1-az1")]
        found = vpc_of(remote, network.settings(subnet_ids=named))
        assert found.subnets == tuple(sorted(named))
        assert found.zones == ("use1-az1",)

    def test_an_unknown_vpc_is_a_wrong_setting(self, remote: Remote) -> None:
        error = refused(remote, settings_of(network={"vpc_id": "vpc-01234567"}))
        assert error.exit_code is ExitCode.USAGE
        assert "us-east-1 has no such VPC" in error.cause

    def test_an_unknown_subnet_is_a_wrong_setting(self, remote: Remote) -> None:
        error = refused(remote, settings_of(network={"subnet_ids": ["subnet-01234567"]}))
        assert error.exit_code is ExitCode.USAGE
        assert "no such subnet" in error.cause

    def test_a_subnet_of_another_vpc_is_refused_with_the_vpc_it_is_in(self, remote: Remote) -> None:
        network = Network(remote)
        error = refused(remote, settings_of(network={"subnet_ids": [network.subnet("use1-az1")]}))
        assert error.exit_code is ExitCode.USAGE
        assert f"network.vpc_id to {network.id}" in error.fix

    @pytest.mark.parametrize("zone", ["use1-az3"])
    def test_a_named_subnet_where_lambda_has_no_functions_is_refused(self, remote: Remote, zone: str) -> None:
        network = Network(remote)
        error = refused(remote, network.settings(subnet_ids=[network.subnet(zone)]))
        assert error.exit_code is ExitCode.USAGE
        assert zone in error.cause

    def test_a_named_subnet_in_a_local_zone_is_refused(self, remote: Remote) -> None:
        network = Network(remote)
        named = network.subnet("use1-az1")

        def elsewhere(parsed: dict[str, Any]) -> None:
            for subnet in parsed["Subnets"]:
                subnet["AvailabilityZoneId"] = "use1-bos1-az1"

        remote.change_answer("ec2.DescribeSubnets", elsewhere)
        assert "use1-bos1-az1" in refused(remote, network.settings(subnet_ids=[named])).cause

    def test_too_few_zones_for_what_wants_more(self, remote: Remote) -> None:
        network = Network(remote)
        network.subnet("use1-az1")
        network.subnet("use1-az2")
        found = vpc_of(remote, network.settings())
        assert at_least_zones(found, 2, "This") == found.subnets
        with pytest.raises(TxnpipeError, match="wants subnets in 3 zones") as caught:
            at_least_zones(found, 3, "Redshift Serverless")
        assert caught.value.exit_code is ExitCode.ENVIRONMENT
        assert "use1-az1, use1-az2" in caught.value.cause

    def test_a_vpc_whose_private_dns_names_do_not_work_is_refused(self, remote: Remote) -> None:
        network = Network(remote, dns=False)
        network.subnet("use1-az1")
        error = refused(remote, network.settings())
        assert error.exit_code is ExitCode.ENVIRONMENT
        assert "enableDnsHostnames off" in error.cause
        assert "--enable-dns-hostnames" in error.fix

    def test_a_pipeline_is_set_up_in_a_named_vpc_and_leaves_it_empty(self, remote: Remote) -> None:
        network = Network(remote)
        named = [network.subnet("use1-az1"), network.subnet("use1-az2")]
        settings = network.settings()
        remote.setup(settings)
        assert changed_fields(remote.plan(settings)) == {}
        function = remote.target.client("lambda").get_function_configuration(FunctionName="TransactionLoader")
        assert sorted(function["VpcConfig"]["SubnetIds"]) == sorted(named)
        subnets = remote.target.client("redshift").describe_cluster_subnet_groups()["ClusterSubnetGroups"]
        assert [group["VpcId"] for group in subnets] == [network.id]
        tear_down(remote, settings)
        assert sweep(remote.graph(settings)).empty

    def test_other_subnets_reach_the_warehouse_s_group_and_the_loader(self, remote: Remote) -> None:
        network = Network(remote)
        first, second = network.subnet("use1-az1"), network.subnet("use1-az2")
        remote.setup(network.settings(subnet_ids=[first]))
        later = network.settings(subnet_ids=[first, second])
        assert changed_fields(remote.plan(later)) == {
            "subnet group/transaction-warehouse": ["subnets"],
            "function/TransactionLoader": ["subnets"],
        }
        remote.setup(later)
        assert changed_fields(remote.plan(later)) == {}

    def test_a_live_pipeline_does_not_move_to_another_vpc(self, remote: Remote) -> None:
        network = Network(remote)
        network.subnet("use1-az1")
        remote.setup(DEFAULT)
        error = refused(remote, network.settings())
        assert error.exit_code is ExitCode.CONFLICT
        assert "cannot move to another VPC" in error.cause
        assert "Set network.vpc_id to vpc-" in error.fix

    @pytest.mark.parametrize("vpc", ["vpc-01234567", None])
    def test_teardown_finds_a_pipeline_whatever_the_settings_say_by_now(
        self, remote: Remote, vpc: str | None
    ) -> None:
        network = Network(remote)
        network.subnet("use1-az1")
        remote.setup(network.settings(s3_gateway=True))
        later = settings_of(network={"vpc_id": vpc})
        tear_down(remote, later)
        assert sweep(remote.graph(later)).empty


class TestSecurityGroups:
    """Who may connect to whom."""

    def test_the_loader_reaches_the_warehouse_and_its_secret_and_nothing_else(self, remote: Remote) -> None:
        remote.setup(DEFAULT)
        loader = group_id(remote, "TransactionLoader")
        vpc = "172.31.0.0/16"
        assert rules(remote, "transaction-warehouse") == {5439: [loader]}
        assert rules(remote, "transaction-endpoint") == {443: [vpc]}
        assert rules(remote, "TransactionLoader") == {}
        assert rules(remote, "TransactionLoader", "IpPermissionsEgress") == {5439: [vpc], 443: [vpc]}
        assert rules(remote, "transaction-warehouse", "IpPermissionsEgress") == {}
        assert rules(remote, "transaction-endpoint", "IpPermissionsEgress") == {}

    def test_each_is_in_its_own_group(self, remote: Remote) -> None:
        remote.setup(DEFAULT)
        function = remote.target.client("lambda").get_function_configuration(FunctionName="TransactionLoader")
        cluster = remote.target.client("redshift").describe_clusters()["Clusters"][0]
        endpoint = remote.target.client("ec2").describe_vpc_endpoints()["VpcEndpoints"][0]
        assert function["VpcConfig"]["SecurityGroupIds"] == [group_id(remote, "TransactionLoader")]
        assert [group["VpcSecurityGroupId"] for group in cluster["VpcSecurityGroups"]] == [
            group_id(remote, "transaction-warehouse")
        ]
        assert [group["GroupId"] for group in endpoint["Groups"]] == [
            group_id(remote, "transaction-endpoint")
        ]

    def test_the_name_servers_of_a_vpc_s_own_are_let_through(self, remote: Remote) -> None:
        network = Network(remote)
        network.subnet("use1-az1")
        servers = {"Key": "domain-name-servers", "Values": ["10.1.0.53", "AmazonProvidedDNS"]}
        options = network.ec2.create_dhcp_options(DhcpConfigurations=[servers])["DhcpOptions"]
        network.ec2.associate_dhcp_options(DhcpOptionsId=options["DhcpOptionsId"], VpcId=network.id)
        state: Any = remote.graph(network.settings()).resources[LOADER_GROUP].desired()
        assert state.egress["udp 53"] == state.egress["tcp 53"] == "10.1.0.53/32"

    def test_a_second_range_of_the_vpc_reaches_the_endpoint_too(self, remote: Remote) -> None:
        network = Network(remote)
        network.subnet("use1-az1")
        network.ec2.associate_vpc_cidr_block(VpcId=network.id, CidrBlock="10.1.0.0/16")
        remote.setup(network.settings())
        assert rules(remote, "transaction-endpoint") == {443: ["10.0.0.0/16", "10.1.0.0/16"]}
        network.ec2.associate_vpc_cidr_block(VpcId=network.id, CidrBlock="10.2.0.0/16")
        assert changed_fields(remote.plan(network.settings()))[ENDPOINT_GROUP] == ["ingress.tcp 443"]
        remote.setup(network.settings())
        assert rules(remote, "transaction-endpoint") == {443: ["10.0.0.0/16", "10.1.0.0/16", "10.2.0.0/16"]}

    def test_a_rule_that_somebody_opened_is_closed_again(self, remote: Remote) -> None:
        remote.setup(DEFAULT)
        ec2, group = remote.target.client("ec2"), group_id(remote, "transaction-warehouse")
        world = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": EVERYWHERE}]}
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[world])
        ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[world])
        assert changed_fields(remote.plan(DEFAULT)) == {WAREHOUSE_GROUP: ["ingress.tcp 22", "egress.tcp 22"]}
        remote.setup(DEFAULT)
        assert changed_fields(remote.plan(DEFAULT)) == {}

    def test_a_stranger_s_group_of_the_same_name_in_another_vpc_is_none_of_our_business(
        self, remote: Remote
    ) -> None:
        network = Network(remote)
        strangers = [
            network.security_group(name)
            for name in ("TransactionLoader", "transaction-warehouse", "transaction-endpoint")
        ]
        remote.setup(DEFAULT)
        tear_down(remote, DEFAULT)
        assert sweep(remote.graph(DEFAULT)).empty
        left = network.ec2.describe_security_groups(GroupIds=strangers)["SecurityGroups"]
        assert len(left) == 3

    def test_a_stranger_s_group_of_the_same_name_in_the_vpc_is_refused(self, remote: Remote) -> None:
        network = Network(remote)
        network.subnet("use1-az1")
        network.security_group("transaction-warehouse")
        error = refused(remote, network.settings())
        assert error.exit_code is ExitCode.CONFLICT
        assert "transaction-warehouse exists already" in error.cause

    def test_a_pipeline_with_one_group_for_all_gets_three(self, remote: Remote) -> None:
        """As setup made it before: loader, warehouse and endpoint in the group of the warehouse."""
        remote.setup(DEFAULT)
        ec2 = remote.target.client("ec2")
        shared, function = group_id(remote, "transaction-warehouse"), "TransactionLoader"
        configuration = remote.target.client("lambda").get_function_configuration(FunctionName=function)
        subnets = configuration["VpcConfig"]["SubnetIds"]
        remote.target.client("lambda").update_function_configuration(
            FunctionName=function, VpcConfig={"SubnetIds": subnets, "SecurityGroupIds": [shared]}
        )
        endpoint = ec2.describe_vpc_endpoints()["VpcEndpoints"][0]
        ec2.modify_vpc_endpoint(
            VpcEndpointId=endpoint["VpcEndpointId"],
            AddSecurityGroupIds=[shared],
            RemoveSecurityGroupIds=[endpoint["Groups"][0]["GroupId"]],
        )
        port = {"IpProtocol": "tcp", "FromPort": 5439, "ToPort": 5439}
        loader = group_id(remote, "TransactionLoader")
        ec2.revoke_security_group_ingress(
            GroupId=shared, IpPermissions=[port | {"UserIdGroupPairs": [{"GroupId": loader}]}]
        )
        https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
        before = [
            port | {"UserIdGroupPairs": [{"GroupId": shared}]},
            https | {"IpRanges": [{"CidrIp": "172.31.0.0/16"}]},
        ]
        ec2.authorize_security_group_ingress(GroupId=shared, IpPermissions=before)
        everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": EVERYWHERE}]}
        ec2.authorize_security_group_egress(GroupId=shared, IpPermissions=[everything])
        for name in ("TransactionLoader", "transaction-endpoint"):
            ec2.delete_security_group(GroupId=group_id(remote, name))

        actions = {change.resource: change.action for change in remote.plan(DEFAULT).work}
        assert actions == {
            LOADER_GROUP: Action.CREATE,
            ENDPOINT_GROUP: Action.CREATE,
            WAREHOUSE_GROUP: Action.UPDATE,
            ENDPOINT: Action.UPDATE,
            "function/TransactionLoader": Action.UPDATE,
        }
        remote.setup(DEFAULT)
        assert changed_fields(remote.plan(DEFAULT)) == {}
        self.test_each_is_in_its_own_group(remote)
