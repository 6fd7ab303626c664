#!yaml
# Facts on which several parts must agree, in one place. The formulas get them under their own keys (below); pillar/hub.sls
# and the runner (runner/agreed.py) read `server`. What concerns only one formula is in that formula's defaults.yaml.
# docs/formulas.md says where a fact belongs.
server:
  ports:
    ssh: &ssh 22
    http: &http 80
    https: &https 443
    web: &web [*http, *https]
    # Open to everybody.
    public: &public [*ssh, *http, *https]
    # The proxy that people's programs use in a closed network. It listens only on loopback.
    way_out: &way_out 888
    # The hub's port in an older coursehub. Nothing listens there any more.
    former_hub: 8081

  uids:
    # People's accounts start here; accounts of the system and of services are below. Python on the server has this number
    # as FIRST_UID or FIRST_ID; a test compares them (tests/render/test_one_home.py).
    first_person: &first_person 1000

  # Accounts that packages and formulas make. No person may have one of these names.
  accounts:
    web_server: &web_server www-data
    proxy: coursehub-proxy
    way_out: coursehub-out
    material: &material class-material
    # The account that signs in for `coursehub check`.
    check: &check_account coursehub-check
    # The account that signs in to a trial of a new version; it exists only meanwhile.
    trial: &trial_account coursehub-trial

  groups:
    everybody: &everybody class
    # The Unix group of each role of the course file.
    roles:
      professors: &professors instructors
      assistants: &assistants assistants
      students: &students students
      guests: &guests guests
    # Of the account that signs in for `coursehub check`: like a student, but on no list that a teacher sees.
    check: &check_group checks
    all_roles: &all_roles [*students, *professors, *assistants, *guests, *check_group]
    teachers: &teachers [*professors, *assistants]
    learners: &learners [*students, *guests]
    # The names of teams' groups begin with this; no account and no group of the system may begin with it.
    team_prefix: &team_prefix team-

  paths:
    uv_root: &uv_root /opt/uv
    uv: &uv /opt/uv/uv
    # The operating system's own Python, from which every environment is made.
    python: &python /usr/bin/python3
    course: &course /opt/course
    course_python: &course_python /opt/course/env/bin/python
    start_server: &start_server /opt/course/bin/start-server
    hub: &hub /opt/jupyterhub
    # The hub's database and secrets.
    hub_state: &hub_state /srv/jupyterhub
    hub_database: &hub_database /srv/jupyterhub/jupyterhub.sqlite
    # Directories that the class shares.
    shared: &shared /srv/class
    homes: &homes /home
    # The disk on which both are, with limits and earlier versions; root alone enters.
    class_disk: &class_disk /srv/disk
    # Where earlier versions are kept, and where a person's own server sees theirs.
    versions: &versions /srv/disk/history
    earlier: &earlier /srv/earlier
    # The directory of that disk's file, and where root's timer writes who uses how much of it.
    class_disk_place: &class_disk_place /var/lib/class-disk
    disk_usage: /run/coursehub-disk
    # Repositories of the teacher's own computer, each as one file that the runner sends (runner/session/folders.py).
    sent: /var/lib/coursehub-sent
    # What the runner ships: Salt, states, and the pillar with its secrets.
    shipped: &shipped /var/lib/coursehub-salt
    # Trials of a new version, and the version before.
    upgrade: &upgrade /var/lib/coursehub-upgrade
    # While the first exists, states may change the hub's version. The second says that the version before was put back.
    upgrade_allowed: &upgrade_allowed /run/coursehub-upgrade.allowed
    went_back: &went_back /var/lib/coursehub-upgrade/went-back
    # A directory for each certificate, by its first name.
    certificates: &certificates /etc/ssl/coursehub
    # The last server's certificate, which the runner sends to a new server.
    carried_certificate: /var/lib/coursehub/cert/carried.json
    # The files with which the certificate authority's questions are answered on port 80.
    acme: &acme /var/www/acme
    # The secret with which nginx checks the pass to a server; see docs/decisions/browser-walls.md.
    owner_secret: &owner_secret /etc/nginx/owner-pass.secret
    # What each mirror of a repository has, and what is wrong with it.
    material_status: /var/lib/coursehub-material/status.json
    # By this file the accounts formula tells the hub who left.
    left: &left /var/lib/coursehub/left.json
    # The fingerprints of the passwords that the course gave (salt/_states/class_accounts.py).
    given: &given /var/lib/coursehub/accounts.json
    # The zips of `coursehub handback`: each is served to whoever knows its unguessable name, until its time of writing,
    # which lies in the future.
    handback: &handback /var/lib/coursehub-handback
    # What is wrong with the backups, in one line for the teachers' page; no file if nothing is.
    backup_problem: &backup_problem /run/coursehub-backup/problem
    # Who opened whose work. It is made with the first opening.
    openings: &openings /var/log/coursehub/openings.log

  memory:
    # The part of the server's memory that all students together may use; the rest is for the hub, nginx and sshd.
    class: &class_memory 85%

  # A file system is full from this use in per cent, or below this free space in bytes: for `status`, and for alerts.
  full_disk: &full_disk {per_cent: 95, least: 524288000}

  certificate:
    # A certificate goes to the next server only if it is valid for more days than this. Certbot renews with 30 days left, so
    # with fewer there is a new order anyway.
    carried_days: &carried_days 30

  urls:
    # The hub's proxy, in nginx's notation.
    proxy: &proxy http://unix:/run/coursehub/front/proxy.sock

  # JupyterHub's paths. The paths of its own pages, of people's servers and of its services end with a slash.
  app:
    hub: &hub_pages /hub/
    servers: &servers /user/
    services: &services /services/
    # The sign-in form with a password is sent here.
    login: &login /hub/login
    # Here the hub gives the pass that opens a person's own server.
    enter: /hub/enter
    # Zips of students' work after the term.
    handback: &handback_path /handback/
    # Paths that are followed by an account.
    people: &people_paths [/user, /hub/user, /hub/spawn, /hub/spawn-pending, /hub/api/users]

  # SSH host keys that the hosts publish: docs.github.com "GitHub's SSH key fingerprints", docs.gitlab.com "SSH host keys
  # fingerprints", bitbucket.org/site/ssh.
  git_hosts: &git_hosts
    github.com: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl
    gitlab.com: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAfuCHKVTjquxvt6CM6tdG4SLp1Btn/nOeHHE5UOzRdf
    bitbucket.org: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIazEu89wgQZ4bqs3d63QSMzYVa0MuJ2e2gKTKqu+UUO

  # The units whose journal `coursehub logs` shows.
  units: [jupyterhub, jupyterhub-proxy, jupyterhub-work, nginx, certbot, coursehub-cert]

# The values that each formula gets from above. pillar/hub.sls may override them for a course.
accounts:
  groups: *all_roles
  class_group: *everybody
  team_prefix: *team_prefix
  directories: {root: *shared, writers: *teachers}
backup:
  shared: *shared
  problem: *backup_problem
  full: *full_disk
  hub_state: *hub_state
  # Who had which number and which password is saved too: a new server may give other numbers.
  sources: [*homes, *shared, *hub_state, *certificates, /etc/letsencrypt, *owner_secret, *left, *openings,
            *given, /etc/passwd, /etc/group, /etc/shadow]
  whole: {group: *everybody, except_for: [*check_account], marks: *left, log: *openings, record: *given}
  databases: [*hub_database]
base:
  sshd: {port: *ssh}
course_env: {root: *course, uv: *uv, python: *python, earlier: *earlier}
homes: {home_root: *homes, class_root: *shared, disk: *class_disk, place: *class_disk_place}
firewall:
  tcp: *public
  per_address: {ports: *web}
  closed: [*web_server]
  people:
    from_uid: *first_person
    here: *web
    way_out: {port: *way_out}
jupyterhub:
  root: *hub
  state: *hub_state
  uv: *uv
  python: *python
  front_group: *web_server
  allowed_groups: *all_roles
  owner_secret: *owner_secret
  class_limits: {memory_max: *class_memory}
  unseen_by_work: [*certificates, *shipped, *upgrade]
  upgrade:
    place: *upgrade
    allowed: *upgrade_allowed
    went_back: *went_back
    course: *course
    salt: *shipped
    account: *trial_account
    groups: [*everybody, *check_group]
    check: *check_account
  work: {viewers: *teachers, owners: *learners, python: *course_python}
  before_class: {groups: [*students, *professors, *assistants, *guests]}
  spawner:
    cmd: [*start_server]
    versions: {kept: *versions, at: *earlier, team_prefix: *team_prefix}
    makes_no_room: *teachers
letsencrypt: {webroot: *acme, certificates: *certificates, carried_days: *carried_days}
material: {root: *shared, user: *material, known_hosts: *git_hosts}
nginx:
  user: *web_server
  acme_webroot: *acme
  owner_secret: *owner_secret
  downloads: {path: *handback_path, root: *handback}
  app: {hub: *hub_pages, servers: *servers, services: *services, people: *people_paths}
  site:
    upstream: *proxy
    uploads: [*servers]
    signin: [*login]
    # Scripts of Lab and of its extensions, by the paths of jupyterlab_server. `apply` switches the environment as a whole.
    programs:
      - {path: static/lab/, root: /opt/course/env/share/jupyter/lab/static}
      - {path: lab/extensions/, root: /opt/course/env/share/jupyter/labextensions}
uv: {root: *uv_root, python: *python}
