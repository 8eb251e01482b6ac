-- name: resource_sweep
insert into review_sweep (reason) values ($1)
