# What a course's choices mean for each formula. The only place where both vocabularies meet.
{%- import_yaml 'courses/' ~ opts.id ~ '.sls' as file %}
{%- set course = file.course %}
{#- Not in the course file: the encrypted class list. What Salt cannot decrypt ends the rendering, with its reason. #}
{%- set class_list %}{% include 'secrets/' ~ opts.id ~ '-people.sls' ignore missing %}{% endset %}
{%- set people = course.people if 'people' in course else salt['slsutil.renderer'](string=class_list).people %}
{#- The course's secrets by name, for formulas that take one: `secrets['google-client-secret']`. #}
{%- set secret_file %}{% include 'secrets/' ~ opts.id ~ '.sls' ignore missing %}{% endset %}
{%- set secrets = salt['slsutil.renderer'](string=secret_file) if secret_file.strip() else {} %}
{%- set limits = course.get('limits', {}) %}
{%- set page = course.get('page', {}) %}
{%- set names = [course.domain] + (['www.' ~ course.domain] if course.get('www', true) else []) %}
{%- set certificate = '/etc/ssl/coursehub/' ~ course.domain %}

base:
  hostname: {{ course.domain }}
  timezone: {{ course.get('timezone', 'Etc/UTC') }}
  sshd:
    # Students work in the browser; whoever needs a shell on the server has an admin account.
    deny_groups: [students, assistants, guests]

nginx:
  sites:
    {{ course.domain }}:
      aliases: {{ names[1:] | json }}
      upstream: http://127.0.0.1:8000
      upload_limit: {{ course.get('upload_limit', '100M') }}
{%- if page.get('logo') %}
      static:
        /.coursehub/{{ page.logo }}: salt://logos/{{ page.logo }}
{%- endif %}
      certificate: {{ certificate }}/fullchain.pem
      key: {{ certificate }}/privkey.pem

letsencrypt:
  email: {{ course.contact | json }}
  names: {{ names | json }}

# Names of people stay out of /etc/passwd, which every student can read.
accounts:
  people:
{%- for role, group in (('professors', 'instructors'), ('assistants', 'assistants'), ('students', 'students'),
                        ('guests', 'guests')) %}
{%-   for person in people.get(role) or [] %}
    {{ person.account | json }}:
      groups: [{{ group }}]
{%-   endfor %}
{%- endfor %}
    # Looks at the hub as a student would: `coursehub check`.
    coursehub-check:
      groups: [students]

course_env:
  lock: salt://locks/{{ opts.id }}.txt
  # Octave's own kernel is a Python package: tried with what the course imports.
  extra_imports: {{ (course.get('imports', []) + (['octave_kernel'] if 'octave' in course.get('kernels', []) else [])) | json }}
  apt: {{ course.get('apt', []) | json }}
  languages: {{ course.get('kernels', []) | json }}

jupyterhub:
  page:
    title: {{ course.title | json }}
    message: {{ page.get('message', '') | json }}
    help: {{ page.get('help', '') | json }}
    logo: {{ ('/.coursehub/' ~ page.logo if page.get('logo') else '') | json }}
  spawner:
    mem_limit: {{ limits.get('memory', '1G') }}
    cpu_limit: {{ limits.get('cpu', 1.0) }}
    tasks_max: {{ limits.get('tasks', 512) }}
  culler:
    timeout: {{ course.get('idle_after', 120) * 60 }}
