"""The same pipeline as a CloudFormation template, for those who deploy with stacks.

Nothing is described a second time. The graph of resources is asked for what it asks of AWS (`desired()`), and
each state is rendered by one small function per kind (`kinds`). So that nobody has to be asked, the graph is
given an account of symbols (`account`): one in which everything that a state refers to exists, under names
such as `${SubnetIds:0}` and `${SecretTxnpipeLoader}`. `intrinsics` turns these into Ref, Fn::GetAtt, Fn::Sub
and Fn::Select; a value that is left unknown is a defect and raises.

What CloudFormation has no word for (tables, the database user, starting the analytics app) is no resource of
the template: it is listed in its Metadata and told as next steps.
"""
