-- name: resource_lock
select version from catalog for update

-- name: resource_sweep
insert into review_sweep (reason) values ($1)
