-- name: setting_read
select api_set::text from setting

-- name: setting_write
update setting set api_set = $1
