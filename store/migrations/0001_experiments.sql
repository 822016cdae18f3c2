-- What people see. Written by the workers' projection, except for the columns that belong to people
-- (description, tags, label, order, star, fold).

create table experiment (
  id integer generated always as identity primary key,
  name text not null,
  description text,
  tags text[] not null default '{}',
  label text,
  sort_order integer not null default 0,
  is_expanded boolean not null default false,
  starred boolean not null default false,
  spec jsonb not null,
  spec_revision integer not null default 1,
  created_by text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  desired_state text not null,
  desired_generation integer not null default 0,
  desired_actor text not null,
  desired_reason text,
  desired_at timestamptz not null default now(),
  run integer not null default 0,
  phase text not null default 'idle',
  why text not null default '',
  status text,
  job_id integer,
  exit_code integer,
  seen_at timestamptz,
  deleted_at timestamptz,
  -- 0 until the workflow has been heard of: such a row is a creation that may have been cut short.
  revision integer not null default 0
);

create unique index experiment_name_of_the_living on experiment (name) where deleted_at is null;
create index experiment_by_phase on experiment (phase) where deleted_at is null;
create index experiment_unstarted on experiment (created_at) where revision = 0;

create table attempt (
  experiment_id integer not null references experiment (id),
  run integer not null,
  attempt integer not null,
  job_name text not null,
  job_id integer,
  phase text not null,
  status text not null,
  outcome text,
  blame text,
  exit_code integer,
  reason text,
  command text not null,
  spec_revision integer not null,
  recoveries integer not null,
  created_at timestamptz not null,
  submitted_at timestamptz,
  started_at timestamptz,
  ended_at timestamptz,
  seen_at timestamptz,
  revision integer not null,
  changed_at timestamptz not null default now(),
  primary key (experiment_id, run, attempt)
);

create index attempt_by_job on attempt (job_id);
create index attempt_live on attempt (changed_at) where phase = 'active';

-- Append-only. The order within an experiment is `seq`; `id` orders all of them for paging.
create table event (
  id bigint generated always as identity primary key,
  experiment_id integer not null references experiment (id),
  seq integer not null,
  at timestamptz not null,
  kind text not null,
  actor text not null,
  text text not null,
  detail jsonb not null,
  unique (experiment_id, seq)
);

create function event_is_append_only() returns trigger language plpgsql as $$
begin
  raise exception 'the event log is append-only';
end $$;

create trigger event_is_append_only before update or delete on event
  for each statement execute function event_is_append_only();

-- Where our knowledge comes from, and how old it is: the last good look and the last failure are kept apart.
create table source (
  name text primary key,
  tried_at timestamptz not null,
  ok_at timestamptz,
  error text
);

-- Tells open pages which experiments changed. A long list is sent as `*`: a payload holds 8,000 bytes.
create function tell_experiments() returns trigger language plpgsql as $$
declare
  ids text;
  number_of_ids integer;
begin
  select string_agg(id::text, ','), count(*) into ids, number_of_ids from changed;
  if number_of_ids > 0 then
    perform pg_notify('skydeck', case when number_of_ids > 500 then '*' else ids end);
  end if;
  return null;
end $$;

create trigger tell_inserted after insert on experiment
  referencing new table as changed for each statement execute function tell_experiments();
create trigger tell_updated after update on experiment
  referencing new table as changed for each statement execute function tell_experiments();

create function tell_source() returns trigger language plpgsql as $$
begin
  perform pg_notify('skydeck', 'source');
  return null;
end $$;

create trigger tell_source after insert or update on source
  for each statement execute function tell_source();
