-- Lists show what is not deleted, newest first, and how many that are: both from the index alone.

create index privacy_request_listed on privacy_request (created_at, id) where deleted_at is null;
drop index privacy_request_created;
