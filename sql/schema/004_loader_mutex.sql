-- Empty for ever. The loader locks it first of all, so that its snapshot is taken after the commit of whoever
-- wrote before it.
CREATE TABLE loader_mutex (
    nothing INTEGER
);
