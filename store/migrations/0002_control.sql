-- What the control loop learned to say: how an experiment is treated, why it is as it is, its cluster, whose turn it is.

alter table experiment
  add column policy jsonb not null default '{
    "restart": {"when": "never", "failures": "any", "exitCodes": null, "maxRestarts": 10, "backoffMs": 10000,
      "backoffMaxMs": 600000, "healthyMs": 600000},
    "maxRunMs": null, "maxAgeMs": null, "priority": 3, "drift": "ask", "autostopMinutes": 30}',
  add column owner text not null default '',
  add column headline text not null default 'idle',
  add column headline_since timestamptz not null default now(),
  add column evidence text[] not null default '{}',
  add column next text,
  add column next_at timestamptz,
  add column held_by text,
  add column held_reason text,
  add column queued_at timestamptz,
  add column cluster_name text,
  add column cluster_status text,
  add column cluster_autostop_minutes integer,
  add column cluster_launched_at timestamptz;

-- What is there was managed by SkyPilot, belongs to who made it, and is as its phase says until its workflow tells more.
update experiment set
  spec = case when spec ? 'executor' then spec else jsonb '{"executor": "managed"}' || spec end,
  owner = created_by,
  headline_since = updated_at,
  headline = case phase
    when 'waiting' then 'waiting-for-skypilot'
    when 'failed' then case when exit_code is null then 'machines-failed' else 'code-failed' end
    else phase end;

create index experiment_in_queue on experiment (((policy ->> 'priority')::integer), queued_at)
  where phase = 'queued' and deleted_at is null;
create index experiment_by_headline on experiment (headline) where deleted_at is null;
create index experiment_with_cluster on experiment (id) where cluster_name is not null;
create index experiment_deleted on experiment (name, id) where deleted_at is not null;

-- Job ids of clusters count from 1 for every life of a cluster: only together with its name they say which job is meant.
alter table attempt add column cluster_name text;
create index attempt_newest on attempt (created_at) where job_id is not null;

-- What SkyPilot shows and no experiment owns. It is kept after its end, so that an old page still finds it.
create table orphan (
  kind text not null check (kind in ('job', 'cluster')),
  key text not null,
  name text not null,
  status text not null,
  detail text,
  first_seen_at timestamptz not null,
  seen_at timestamptz not null,
  ended_at timestamptz,
  primary key (kind, key)
);

create index orphan_there on orphan (first_seen_at) where ended_at is null;

-- The fence: which job holds an attempt. A second job of the same attempt is refused.
create table lease (
  experiment_id integer not null,
  run integer not null,
  attempt integer not null,
  holder text not null,
  taken_at timestamptz not null default now(),
  renewed_at timestamptz not null default now(),
  primary key (experiment_id, run, attempt)
);
