-- What stands before the first name is left out.

-- name: sample_escapes
-- A comment is left out, and so is an empty line.
select '\x00', E'a\nb', "Column"  -- but not the end of a line

from   "Table" where a = '%s';

-- name: sample_last
select 2
